// The form that stands in place of everything else until somebody has signed in.

import { h, text } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { session } from "./session.js";

// What a token can look like (RFC 6750); anything else could not even be sent.
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** `name`: the network's; `ended`: whether there was a session before. */
export function signInView(name, ended) {
  const token = h("input", {
    id: "token",
    type: "password",
    required: true,
    autocomplete: "current-password",
    autocapitalize: "none",
    spellcheck: "false",
    "aria-describedby": "token-hint token-problem",
  });
  const problem = h("p", { id: "token-problem", class: "problem", role: "alert", hidden: true });
  const button = h("button", { class: "button button-main" }, t("signin.do"));

  const say = (key) => {
    text(problem, t(key));
    problem.hidden = false;
    token.setAttribute("aria-invalid", "true");
    token.focus();
    token.select();
  };

  async function submit(event) {
    event.preventDefault();
    const value = token.value.trim();
    if (!TOKEN.test(value)) return say("signin.wrong");
    button.disabled = true;
    try {
      // Everything begins anew with the session.
      (await session.signIn(value)) ? location.reload() : say("signin.wrong");
    } catch {
      say("unreachable");
    } finally {
      button.disabled = false;
    }
  }

  return h(
    "section",
    { class: "view signin" },
    h("div", { class: "hero" }, h("h1", { tabindex: "-1" }, t("signin.title", { name })), h("p", { class: "lead" }, t(ended ? "signin.ended" : "signin.lead"))),
    h(
      "form",
      { on: { submit } },
      // Password managers tell networks apart by it.
      h("input", { type: "text", autocomplete: "username", value: name, hidden: true, readonly: true }),
      h("label", { for: "token" }, t("signin.token")),
      token,
      problem,
      button,
    ),
    h("p", { id: "token-hint", class: "quiet" }, t("signin.hint")),
  );
}

/** A button in the frame, where there is something to sign out of. */
export function signOutButton() {
  const button = h("button", { type: "button", class: "icon-button", id: "sign-out", hidden: true, on: { click: () => session.signOut() } }, icon("leave"));
  button.update = () => {
    button.hidden = !(session.needed && session.open);
    button.setAttribute("aria-label", t("signin.out"));
    button.title = t("signin.out");
  };
  button.update();
  return button;
}
