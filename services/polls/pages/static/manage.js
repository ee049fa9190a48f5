// What scripts add to the pages to manage polls. Every page works without them.

// The form of a poll: the server says what people will see, and the rows of options change here.
const form = document.getElementById("poll-form");
if (form) {
  const shown = document.getElementById("poll-preview");
  let timer = 0, latest = 0;
  const show = async () => {
    const number = ++latest;
    let text = "", problem = "The preview is not available at the moment. What you have entered is still here.";
    try {
      const response = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (response.redirected) problem = "Your session is over, so nothing can be saved. Copy what you need, and sign in again.";
      else if (response.ok) text = await response.text();
    } catch {
      // the service cannot be reached, which the text below says
    }
    if (number !== latest) return;
    if (text) shown.innerHTML = text;
    else shown.textContent = problem;
  };
  const update = () => {
    clearTimeout(timer);
    timer = setTimeout(show, 200);
  };
  form.addEventListener("change", update);

  const rows = document.getElementById("option-rows");
  const template = document.getElementById("option-row");
  let count = rows.children.length;
  const number = () => {
    [...rows.children].forEach((row, index) => {
      const name = `option ${index + 1}`;
      row.querySelector("label").textContent = `Option ${index + 1}`;
      const [up, down, remove] = row.querySelectorAll("button");
      up.ariaLabel = `Move ${name} up`;
      down.ariaLabel = `Move ${name} down`;
      remove.ariaLabel = `Remove ${name}`;
    });
  };
  const add = () => {
    const row = template.content.firstElementChild.cloneNode(true);
    const input = row.querySelector("input:not([type=hidden])");
    input.id = row.querySelector("label").htmlFor = `option-${count++}`;
    rows.append(row);
    number();
    input.focus();
  };
  rows.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    event.preventDefault();
    const row = button.closest("li");
    if (button.name === "remove_option") {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      (next?.querySelector("button[name=remove_option]") ?? document.getElementById("add-option")).focus();
    } else {
      if (button.name === "move_up") row.previousElementSibling?.before(row);
      else row.nextElementSibling?.after(row);
      button.focus();
    }
    number();
    update();
  });
  // Enter goes on to the next option, as in a list, and does not send a form that is half filled in.
  rows.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !event.target.matches("input")) return;
    event.preventDefault();
    const next = event.target.closest("li").nextElementSibling;
    if (event.ctrlKey || event.metaKey) form.requestSubmit(form.querySelector("button.main"));
    else if (next) next.querySelector("input:not([type=hidden])").focus();
    else if (event.target.value.trim()) add();
  });
  document.getElementById("add-option").addEventListener("click", (event) => {
    event.preventDefault();
    add();
  });
}

// An end is entered in UTC, and shown in the zone of the person who enters it too.
const endDay = document.getElementById("end_day");
if (endDay) {
  const endTime = document.getElementById("end_time"), shown = document.getElementById("end-local");
  const exact = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  const show = () => {
    const at = new Date(`${endDay.value}T${endTime.value || "23:59"}Z`);
    shown.hidden = Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0;
    if (shown.hidden) return;
    const year = at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
    shown.textContent = `That is ${at.toLocaleString("en-GB", { ...exact, ...year })} where you are.`;
  };
  for (const field of [endDay, endTime]) field.addEventListener("input", show);
  show();
}

// A file with participants is read into the field, where it can be seen and corrected before it is sent.
for (const input of document.querySelectorAll("input[data-into]")) {
  input.closest(".field").hidden = false;
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    const error = document.getElementById(`${input.id}-error`), bytes = await file.arrayBuffer();
    try {
      document.getElementById(input.dataset.into).value = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      error.textContent = "";
      input.ariaInvalid = null;
    } catch {
      error.textContent = "This file is not UTF-8. Save it as “CSV UTF-8”, or paste its lines.";
      input.ariaInvalid = "true";
      input.value = ""; // so that the file can be chosen again once it is saved differently
    }
  });
}
