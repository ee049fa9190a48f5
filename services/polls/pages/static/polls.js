// What scripts add to the pages of polls. Every page works without them.

// Results change while they are shown.
const live = document.getElementById("live");
if (live && "EventSource" in window) {
  const status = document.getElementById("live-status");
  const changed = document.getElementById("poll-changed");
  const source = new EventSource(live.dataset.live);

  const say = (text) => {
    if (changed.dataset.said === text) return;
    changed.dataset.said = text;
    changed.textContent = text;
    const link = document.createElement("a");
    link.href = "";
    link.textContent = "Reload the page";
    changed.append(" ", link);
  };

  source.addEventListener("results", (event) => {
    const { etag, html } = JSON.parse(event.data);
    live.innerHTML = html;
    const total = live.querySelector(".total");
    status.textContent = total ? "Live" : "";
    if (total) {
      const spoken = document.createElement("span");
      spoken.className = "hidden";
      spoken.textContent = `. ${total.textContent.trim()}`;
      status.append(spoken);
    }
    if (etag !== live.dataset.etag) say("This poll was edited or closed in the meantime.");
  });
  source.addEventListener("ended", () => {
    source.close();
    for (const part of document.querySelectorAll("#results, .poll form")) part.remove();
    say(live.dataset.ended ?? "This voting link does not work any longer.");
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) status.textContent = live.dataset.closed ?? "Not live at the moment. Reload the page for new results.";
  });
  addEventListener("pagehide", () => source.close());
}

// Browsers keep pages in memory for the Back button, with what was chosen there.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
