// What a person reads when the browser's passkey dialog ends without one. allauth only writes to the console.

import { gettext } from "./words.js";

const WORDS = {
  NotAllowedError: gettext("No passkey was used. Try again, or choose another way."),
  InvalidStateError: gettext("This device has a passkey for your account already."),
  SecurityError: gettext("Passkeys need the real address of this PushPilot, with https."),
};
const NOT_SUPPORTED = gettext("This browser has no passkeys. Please choose another way.");
const OTHERWISE = gettext("That did not work. Please try again, or choose another way.");

function say(text) {
  const place = document.querySelector("h1");
  const note = document.getElementById("passkey-note") || document.createElement("p");
  note.id = "passkey-note";
  note.className = "pp-note pp-note-error";
  note.setAttribute("role", "alert");
  note.textContent = text;
  place.after(note);
}

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  say(window.PublicKeyCredential ? WORDS[event.detail.exception?.name] || OTHERWISE : NOT_SUPPORTED);
});
