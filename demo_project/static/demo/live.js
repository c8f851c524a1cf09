// The live page: a socket and calls of the API, over one client of authx. docs/single-page-app.md has a smaller one.
import { createClient } from "../authx/client.js";

/** Between two calls of the API (ms). */
const INTERVAL = 10_000;
const LOG_LENGTH = 12;

const auth = createClient();
const socketPath = document.getElementById("live").dataset.socket; // "" under WSGI, which has no sockets
const show = (name) => document.querySelector(`[data-show="${name}"]`);
const count = { connections: 0, calls: 0, renewals: 0 };
let token = null;

function now() {
  return new Date().toLocaleTimeString(document.documentElement.lang, { timeStyle: "medium" });
}

function tell(name, text) {
  const place = show(name);
  if (place && place.textContent !== text) place.textContent = text; // a status is read aloud once
}

/** Say how something is: "good", "waiting" or "bad". */
function state(name, kind, text) {
  show(name).dataset.state = kind;
  tell(name, text);
}

function log(text) {
  const [line, time, what] = ["li", "time", "span"].map((each) => document.createElement(each));
  time.textContent = now();
  what.textContent = text;
  line.append(time, what);
  show("log").prepend(line);
  show("log").children[LOG_LENGTH]?.remove();
}

function another(what) {
  count[what] += 1;
  tell(what, String(count[what]));
}

const inWords = (code = "no words", reason) => (reason ? `${code} (${reason})` : String(code));

/** Look whether the client has renewed the token: the page itself never does. */
async function lookAtToken() {
  const found = await auth.token().catch(() => token);
  if (!found || found === token || auth.ended) return;
  if (token) {
    another("renewals");
    tell("renewed", now());
  }
  log(token ? "The access token was renewed." : "The client has an access token.");
  token = found;
  state("token", "good", "Good");
}

async function call() {
  another("calls");
  try {
    const response = await auth.fetch("/api/hello/");
    const { hello, code, reason } = await response.json().catch(() => ({})); // a proxy's page, perhaps
    if (response.ok) state("call", "good", "Answered");
    else if (response.status < 500) state("call", "bad", "Refused");
    else state("call", "waiting", "Not now");
    tell("answer", `${response.status}, ${response.ok ? `hello ${hello}` : inWords(code, reason)}, at ${now()}`);
  } catch (error) {
    // An outage ends nothing: the next call may be answered.
    state("call", auth.ended ? "bad" : "waiting", auth.ended ? "Refused" : "No answer");
    tell("answer", `${inWords(error.code ?? "The server cannot be reached", error.reason)}, at ${now()}`);
  }
  await lookAtToken();
}

function connect() {
  const socket = auth.socket(socketPath);
  state("socket", "waiting", "Connecting");
  socket.addEventListener("open", () => {
    another("connections");
    state("socket", "good", "Connected");
    log("The socket is connected.");
  });
  socket.addEventListener("message", ({ data }) => {
    const { number, to } = JSON.parse(data);
    tell("message", `Number ${number}, to ${to}, at ${now()}`);
    void lookAtToken();
  });
  socket.addEventListener("lost", ({ detail }) => {
    if (count.connections === 0) state("socket", "waiting", "No connection, trying again");
    else state("socket", "waiting", "Lost, coming back");
    log(`The socket was lost: ${inWords(detail.code, detail.reason)}.`);
  });
  socket.addEventListener("close", ({ code, reason }) => {
    state("socket", "bad", "Closed");
    tell("message", `Closed with ${inWords(code, reason)}, at ${now()}`);
    log("The socket is closed for good.");
  });
}

auth.on("ended", ({ message, reason }) => {
  clearInterval(calling);
  tell("why", message);
  tell("ended", `At ${now()}.`);
  document.getElementById("over").hidden = false;
  state("token", "bad", "Dropped");
  log(`${inWords("The session has ended", reason)}.`);
  void call(); // it is refused here, and reaches no server
});

// Somebody may have signed in again in another tab.
document.addEventListener("visibilitychange", async () => {
  if (auth.ended && !document.hidden && (await auth.check().catch(() => null))) location.reload();
});
document.querySelector('[data-do="call"]').addEventListener("click", call);
state("call", "waiting", "Calling");
state("token", "waiting", "Asking");
if (socketPath) connect();
const calling = setInterval(call, INTERVAL);
void call();
