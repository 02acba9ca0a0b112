// Dialogs that ask before something is done: data-opens="<id>" opens one, data-closes inside closes it.

document.addEventListener("click", (event) => {
  const opens = event.target.closest("[data-opens]");
  if (opens) document.getElementById(opens.dataset.opens).showModal();
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
  if (event.target.matches("dialog[open]")) event.target.close();
});
