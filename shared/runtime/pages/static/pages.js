// What scripts add to the pages of both services. Every page works without them.

const MINUTE = 60, HOUR = 3600, DAY = 86400;
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const absolute = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "long" });

function describe(seconds) {
  const distance = Math.abs(seconds);
  if (distance < MINUTE) return relative.format(0, "minute").replace("this minute", "just now");
  if (distance < HOUR) return relative.format(Math.round(seconds / MINUTE), "minute");
  if (distance < 2 * DAY) return relative.format(Math.round(seconds / HOUR), "hour");
  if (distance < 60 * DAY) return relative.format(Math.round(seconds / DAY), "day");
  if (distance < 730 * DAY) return relative.format(Math.round(seconds / (30.4 * DAY)), "month");
  return relative.format(Math.round(seconds / (365.25 * DAY)), "year");
}

// Times: relative, with the time in the reader's zone as a title.
export function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    element.title = absolute.format(at);
    element.textContent = describe((at - Date.now()) / 1000);
  }
}
showTimes(document);
setInterval(() => showTimes(document), 30000);

// Copy buttons, which only appear where they work.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  const label = button.textContent, name = button.ariaLabel;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = "Copied";
    button.ariaLabel = "Copied";
    setTimeout(() => { button.textContent = label; button.ariaLabel = name; }, 2000);
  });
}

// A secret is selected as a whole.
for (const area of document.querySelectorAll("textarea[data-fit]")) {
  area.addEventListener("focus", () => area.select());
  if (!CSS.supports("field-sizing", "content")) area.rows = Math.max(1, Math.ceil(area.value.length / 60));
}

// A form is sent once, however often its button is pressed. After a download the page stays, so a button with
// `data-downloaded` works again when the response must have begun, and the element with that id is shown.
const DOWNLOAD_BEGINS_MS = 4000;
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "true";
    const button = event.submitter;
    const label = button?.textContent, downloaded = document.getElementById(button?.dataset.downloaded ?? "");
    if (button?.dataset.busy) setTimeout(() => { button.textContent = button.dataset.busy; button.disabled = true; });
    if (!downloaded) return;
    downloaded.hidden = true;
    setTimeout(() => {
      button.textContent = label;
      button.disabled = false;
      downloaded.hidden = false;
      delete form.dataset.sent;
    }, DOWNLOAD_BEGINS_MS);
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// After an action, a reload shows what it changed, and does not repeat it.
const after = document.querySelector("[data-then]");
if (after) {
  history.replaceState(null, "", after.dataset.then);
  // Browsers keep pages in memory for the Back button, also those that they must not store.
  addEventListener("pagehide", () => {
    for (const area of after.querySelectorAll("textarea")) area.textContent = area.value = "";
    for (const shown of after.querySelectorAll("[data-once]")) shown.textContent = "";
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.replace(after.dataset.then);
  });
}

// The page opens at its first error, or at its heading after an action.
const first = document.querySelector("[aria-invalid=true]");
const heading = document.querySelector("[data-then] h1, main:has(> .done) h1");
if (first) {
  first.closest("details")?.setAttribute("open", "");
  first.focus();
} else if (heading) {
  heading.tabIndex = -1;
  heading.focus();
}

// Fields that only one of several choices needs.
for (const element of document.querySelectorAll("[data-needs]")) {
  const choice = document.getElementById(element.dataset.needs);
  const group = choice.type === "radio" ? document.getElementsByName(choice.name) : [choice];
  const show = () => { element.hidden = !choice.checked; };
  for (const each of group) each.addEventListener("change", show);
  show();
}

document.documentElement.classList.add("scripted");
