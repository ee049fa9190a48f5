// What scripts add to the settings pages.

// Select all on this page, and say how many are selected.
const all = document.getElementById("all");
if (all) {
  const boxes = [...document.querySelectorAll("#tokens tbody input[type=checkbox]")];
  const status = document.getElementById("selected");
  const buttons = document.querySelectorAll("button[name=action]");
  const show = () => {
    const count = boxes.filter((box) => box.checked).length;
    all.checked = count === boxes.length;
    all.indeterminate = count > 0 && count < boxes.length;
    status.textContent = count ? `${count} selected` : "";
    for (const button of buttons) button.disabled = count === 0;
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  for (const box of boxes) box.addEventListener("change", show);
  addEventListener("pageshow", show);
  show();
}

// The menu of a row. Without scripts, its link leads to the token, whose page has the same actions.
const template = document.getElementById("row-menu");
if (template && "popover" in HTMLElement.prototype) {
  const menu = template.content.firstElementChild;
  document.body.append(menu);
  let opener = null;
  document.getElementById("tokens").addEventListener("click", (event) => {
    const link = event.target.closest("td:last-child a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    opener = link;
    const status = link.closest("tr").querySelector(".status").classList[1];
    for (const item of menu.children) {
      item.href = link.href + item.dataset.page;
      item.hidden = !(item.dataset.for ?? status).split(" ").includes(status);
    }
    menu.showPopover();
    const at = link.getBoundingClientRect();
    menu.style.top = `${Math.min(at.bottom, innerHeight - menu.offsetHeight - 8)}px`;
    menu.style.left = `${Math.max(8, at.right - menu.offsetWidth)}px`;
    menu.firstElementChild.focus();
  });
  menu.addEventListener("toggle", (event) => {
    if (event.newState === "closed" && opener) opener.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(event.relatedTarget)) menu.hidePopover();
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = [...menu.children].filter((item) => !item.hidden);
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  });
}

// The scope builder: the server says what it allows, and another row is added here.
const scopes = document.querySelector("[data-preview]");
if (scopes) {
  const form = scopes.form;
  const shown = document.getElementById("scope-preview");
  let timer = 0, latest = 0;
  const update = async () => {
    const number = ++latest;
    const response = await fetch(scopes.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (number !== latest) return;
    if (response.ok && !response.redirected) shown.innerHTML = await response.text();
    else shown.textContent = "The service does not answer. Save to see what this allows.";
  };
  scopes.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(update, 200);
  });
  document.getElementById("add-row").addEventListener("click", (event) => {
    event.preventDefault();
    const rows = scopes.querySelectorAll(".row");
    const row = rows[rows.length - 1].cloneNode(true);
    row.setAttribute("aria-label", `Place ${rows.length + 1}`);
    for (const element of row.querySelectorAll("[id], [for]")) {
      for (const name of ["id", "for", "name"]) {
        const value = element.getAttribute(name);
        if (value) element.setAttribute(name, value.replace(/^scope-\d+/, `scope-${rows.length}`));
      }
      if (element.type === "checkbox") element.checked = false;
      else if (element.tagName === "INPUT") element.value = "";
    }
    rows[rows.length - 1].after(row);
    row.querySelector("input").focus();
  });
}
