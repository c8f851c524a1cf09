/**
 * authx in a browser: calls and sockets that carry the access token, renewed once for all tabs.
 *
 * The token lives in the closure of `createClient` alone: no storage, no global, no patched `fetch`. That a
 * session is over is only ever the server's word; an outage, a full rate limit or a tunnel ends nothing.
 */

/** What a person is shown, by the reason for which the session ended. */
export const MESSAGES = Object.freeze({
  logout: "You signed out.",
  ended_by_user: "You were signed out from another of your devices.",
  kicked: "You were signed out by an administrator.",
  replaced: "You were signed out because of a newer sign-in.",
  superseded: "Somebody signed in again in this browser.",
  reused: "You were signed out because your session may have been copied.",
  idle: "You were signed out because you had been away for a while.",
  expired: "Your session has expired. Please sign in again.",
  password_changed: "You were signed out because your password was changed.",
  credentials_changed: "You were signed out because the way you sign in was changed.",
  user_disabled: "You were signed out because your account was disabled.",
  user_deleted: "You were signed out because your account was deleted.",
  "": "You are signed out. Please sign in again.",
});

/** How long to wait for another tab's refresh (ms). The server serves both if both refresh. */
const LOCK_WAIT = 3000;
/** How long a token may travel from the tab that has just refreshed (ms). */
const TOKEN_WAIT = 250;
/** Away for longer than this (ms), a page asks whether its session is still there. */
const AWAY = 30000;
/** A token that the server sent so lately (ms) is not refused for its age: no refresh cures that. */
const FRESH = 3000;
/** How long a page that comes back stays hidden while the server is asked, at most (ms). */
const HIDE = 5000;
/** How long a socket may take to connect (ms), and to answer after the page was away. */
const CONNECT_WAIT = 15000;
const ANSWER_WAIT = 5000;
/** By how much a timer may be early (ms). */
const EARLY = 50;

/** Refusals of an access token; another token may be let in. */
const CURABLE = new Set([
  "token_malformed", "token_expired", "token_not_for_us", "key_unknown", "session_ended", "",
]);
/** Refusals of a refresh after which this browser carries no session. */
const SIGNED_OUT = new Set(["session_ended", "refresh_reused", "refresh_malformed", "not_authenticated"]);
/** Endings that a session of the same browser may follow, whose cookie may be just about to arrive. */
const FOLLOWED = new Set(["superseded", "password_changed"]);
/**
 * Close codes of a server that may be back soon; after all others of the app's a socket stays closed.
 * 4409 and 4413 are what daphne sends for 1009 and 1013.
 */
const PASSING = new Set([1001, 1005, 1006, 1009, 1011, 1012, 1013, 1014, 1015, 4409, 4413, 4429]);

const later = (ms) => new Promise((done) => setTimeout(done, ms));
const ignore = () => {};

/** Return a function that says how many ms have passed; asleep, one of two clocks may have stood still. */
function stopwatch() {
  const [ticks, date] = [performance.now(), Date.now()];
  return () => Math.max(performance.now() - ticks, Date.now() - date);
}

/** An error of authx: `code` is the API's machine word, `status` that of the answer (0: there was none). */
export class AuthError extends Error {
  constructor(code, { status = 0, reason = "", retryAfter = null, message = "" } = {}) {
    super(message || code);
    this.name = "AuthError";
    Object.assign(this, { code, status, reason, retryAfter });
  }
}

/** Return what an access token claims, unverified; null if it is none. */
function claimsOf(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(body), (each) => each.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims.sid === "string" && typeof claims.sub === "string" ? claims : null;
  } catch {
    return null;
  }
}

/** An access token: whose it is and how long it is still good, by clocks that only measure. */
class Token {
  /** `life` is in ms, counted from the moment `elapsed` counts from; `sent` says that the server sent it. */
  constructor(value, claims, life, { elapsed = stopwatch(), sent = true } = {}) {
    Object.assign(this, { value, life, elapsed, sent });
    this.sid = claims.sid;
    this.user = claims.sub;
    this.issued = claims.iat;
  }

  get left() {
    return this.life - this.elapsed();
  }

  /** How long before its end it is renewed (ms). */
  get margin() {
    return Math.min(60000, this.life / 4);
  }

  get isOld() {
    return this.left <= this.margin;
  }
}

/** Return the error in a response of the API; its body is read. */
async function problemOf(response) {
  const body = await response.json().catch(() => null);
  const wait = Number.parseInt(response.headers.get("Retry-After"), 10);
  return new AuthError(typeof body?.code === "string" ? body.code : "unavailable", {
    status: response.status,
    reason: typeof body?.reason === "string" ? body.reason : "",
    retryAfter: Number.isNaN(wait) ? null : wait,
    message: typeof body?.detail === "string" ? body.detail : "",
  });
}

/** Return why a 401 refuses our token, from its challenge; null if another token would not help. */
function refusalIn(status, challenge) {
  if (status !== 401 || !/\bBearer\b.*\berror="invalid_token"/i.test(challenge ?? "")) return null;
  const [, code = "", reason = ""] = /error_description="(\w+)(?: (\w+))?"/.exec(challenge) ?? [];
  return CURABLE.has(code) ? { code, reason } : null;
}

/**
 * Return a client for the API of authx at `base`; see client.d.ts for its options and members.
 */
export function createClient({
  base = "/api/auth/",
  csrfCookie = "csrftoken",
  csrfHeader = "X-CSRFToken",
  messages = {},
} = {}) {
  // Not by the page's <base>: whoever can add one would be sent the passwords.
  const root = new URL(base.endsWith("/") ? base : `${base}/`, location.href);
  const isOurs = (url) => {
    const { origin, protocol } = new URL(url, document.baseURI);
    return origin === root.origin && protocol === root.protocol; // a blob: has our origin, too
  };
  const credentials = root.origin === location.origin ? "same-origin" : "include";
  const byCookie = { credentials, cache: "no-store", redirect: "error" };
  const listeners = new Map();
  const sockets = new Set();
  const stop = new AbortController();

  let held = null; // the access token
  let who = null; // { sessionId, userId }: whose page this is
  let isSure = false; // the server has said so, not another tab alone
  let over = null; // what `ended` was told, once it is over
  let isNobody = false; // the server has said that this browser carries no session
  let heard = null; // another tab's token, before there was a use for one
  let flight = null; // the one refresh that is going on
  let arrived = null; // called when another tab sends a token that is taken
  let rest = null; // after a 429 or 503: the error, and how long it lasts
  let csrf = ""; // where the cookie cannot be read
  let isLeaving = false; // a logout is on its way
  let isHidden = false; // the page is being left

  // Events

  function emit(type, details) {
    for (const listener of [...(listeners.get(type) ?? [])]) {
      try {
        listener(details);
      } catch (error) {
        reportError(error); // as the browser does with listeners of its own
      }
    }
  }

  function on(type, listener) {
    if (!listeners.has(type)) listeners.set(type, new Set());
    listeners.get(type).add(listener);
    return () => listeners.get(type).delete(listener);
  }

  function end({ reason = "", code = "session_ended" }, isNews = true) {
    if (over || !who) return;
    const text = { ...MESSAGES, ...messages };
    const message = text[Object.hasOwn(text, reason) ? reason : ""];
    over = Object.freeze({ ...who, reason, code, message });
    held = null;
    if (isNews) tell({ type: "ended", sid: who.sessionId, reason, code });
    for (const socket of [...sockets]) socket._end(reason);
    emit("ended", over);
  }

  // Tokens

  function take(token) {
    held = token;
    isNobody = false;
    rest = null;
    const isNew = who === null;
    who = { sessionId: token.sid, userId: token.user };
    if (isNew) emit("started", { ...who });
  }

  function tell(message) {
    try {
      channel?.postMessage(message);
    } catch {
      // closed meanwhile
    }
  }

  function share(token) {
    tell({ type: "token", token: token.value, sid: token.sid, left: token.left, at: Date.now() });
  }

  /** Take a token that the server has just handed out, unless it is somebody else's; return it. */
  function receive(token, cause) {
    if (who && !isSure && !over && token.user !== who.userId) who = null;
    if (who && !over && token.user !== who.userId) {
      end({ reason: cause?.reason || "superseded" });
    } else if (!over) {
      isSure = true;
      take(token);
    }
    share(token);
    return token;
  }

  async function tokenIn(response, elapsed) {
    const body = await response.json().catch(() => null);
    const claims = claimsOf(body?.access_token);
    if (!claims || !(body.expires_in > 0)) throw new AuthError("unavailable", { status: 200 });
    return new Token(body.access_token, claims, body.expires_in * 1000, { elapsed });
  }

  // Other tabs

  function hear({ data }) {
    if (typeof data !== "object" || data === null || over) return;
    if (data.type === "token") hearToken(data);
    else if (data.type === "ask" && who) askTwice().catch(ignore);
    else if (data.type === "ended") hearEnded(data);
  }

  function hearEnded({ sid, reason, code }) {
    if (typeof reason !== "string" || typeof code !== "string") return;
    if (heard?.sid === sid) heard = null;
    if (who?.sessionId === sid) end({ reason, code }, false);
  }

  /** A tab logs out while it is left, and cannot say when that has arrived. */
  async function askTwice() {
    if (!(await check())) return;
    await later(2000);
    if (!over) await check();
  }

  /** Take another tab's token, if it can be one. Nobody has verified it: a bad one comes back as a 401. */
  function hearToken({ token, sid, left, at }) {
    const claims = typeof token === "string" ? claimsOf(token) : null;
    if (!claims || claims.sid !== sid || !(left > 0) || token === held?.value) return;
    const late = Math.min(Math.max(Date.now() - at, 0) || 0, left);
    const next = new Token(token, claims, left - late, { sent: false });
    if (!who && !arrived) {
      heard = next; // nobody has asked here yet whose page this is
      return;
    }
    if (who && claims.sub !== who.userId) {
      void renew().catch(ignore); // somebody else signed in, it says: the server knows
      return;
    }
    if (held?.sid === sid && !(claims.iat >= held.issued)) return; // an older one, on its way for long
    take(next);
    arrived?.(true);
  }

  let channel = null;
  try {
    channel = new BroadcastChannel(`authx:${root}`);
    channel.onmessage = hear;
  } catch {
    // There is none here, or not for this page: every tab refreshes by itself.
  }

  /**
   * Wait for this tab's turn to refresh, a few seconds at most; return how to give it up.
   *
   * Nobody's lock is ever stolen: a tab that was frozen with it would wake up and go on.
   */
  async function turn(arrival) {
    let release = ignore;
    const done = new Promise((resolve) => (release = resolve));
    if (!navigator.locks) return release;
    const waiting = new AbortController();
    const ask = (options) =>
      new Promise((resolve) => {
        const granted = (lock) => {
          resolve(lock !== null);
          return lock && done;
        };
        // Refused where a page may have no locks.
        navigator.locks.request(`authx:${root}`, options, granted).catch(() => resolve(false));
      });
    const queue = async () => {
      if (await ask({ ifAvailable: true })) return;
      // Somebody is refreshing: the token arrives when they are done, or their turn is ours.
      if (await ask({ signal: waiting.signal })) await Promise.race([arrival, later(TOKEN_WAIT)]);
    };
    await Promise.race([queue(), arrival, later(LOCK_WAIT)]);
    waiting.abort();
    return release;
  }

  // Refreshing

  /**
   * Renew the token: one refresh of this tab, whoever asks. `cause` is the refusal that makes it needed.
   * Return the token that the server sent; null if another tab's was taken, or there is none.
   */
  function renew(cause = null) {
    flight ??= refresh(cause).finally(() => {
      flight = null;
      arrived = null;
    });
    return flight;
  }

  async function refresh(cause) {
    const found = heard;
    heard = null;
    if (found && !found.isOld && !who && !cause) {
      take(found);
      return null;
    }
    if (rest && rest.elapsed() < rest.ms) throw rest.error;
    let isTaken = false;
    const arrival = new Promise((resolve) => (arrived = resolve)).then(() => (isTaken = true));
    // Two tokens of other tabs were refused: only one from the server will do.
    const isAlone = Boolean(cause?.isAlone);
    const release = isAlone ? ignore : await turn(arrival);
    try {
      return await exchange(cause, arrival, () => over !== null || (isTaken && !isAlone));
    } finally {
      release();
    }
  }

  async function exchange(cause, arrival, isSettled) {
    for (let tries = 0; ; tries += 1) {
      if (isSettled()) return null;
      const elapsed = stopwatch();
      const response = await post("refresh/");
      if (response.ok) return receive(await tokenIn(response, elapsed), cause);
      const problem = await problemOf(response);
      const mayChange = problem.status === 409 || FOLLOWED.has(problem.reason);
      if (mayChange && tries < (problem.status === 409 ? 3 : 1)) {
        // Another tab has a newer cookie, or is about to get one.
        await Promise.race([arrival, later(500 + 1000 * tries + 500 * Math.random())]);
      } else if (problem.status === 401 && SIGNED_OUT.has(problem.code)) {
        signedOut(problem, cause);
        return null;
      } else {
        const ms = Math.min(problem.retryAfter ?? 0, 30) * 1000;
        rest = ms > 0 ? { error: problem, ms, elapsed: stopwatch() } : null;
        throw problem;
      }
    }
  }

  function signedOut(problem, cause) {
    if (!who) isNobody = true;
    const reused = problem.code === "refresh_reused" ? "reused" : "";
    end({ reason: problem.reason || reused || cause?.reason || "", code: problem.code });
  }

  /** Return a token that is good by its age, renewed first if it is old; null where nobody is signed in. */
  async function current(signal) {
    signal?.throwIfAborted();
    if (!over && !isNobody && (!held || held.isOld)) {
      const before = held;
      try {
        await unlessAborted(renew(), signal);
      } catch (error) {
        if (signal?.aborted || !(held && held === before && held.left > 0)) throw error;
      }
    }
    if (over) throw new AuthError("session_ended", { status: 401, ...over });
    return isNobody ? null : held;
  }

  /** Return a token to try instead of one that was refused; null if none would be let in. */
  async function another(refused, { code, reason }, isAlone = false) {
    if (over) return null;
    const isDead = code === "session_ended" && held?.sid === refused.sid;
    if (held && held !== refused && !isDead && (held.sent || !isAlone)) return held; // renewed meanwhile
    if (code !== "session_ended" && refused.sent && refused.elapsed() < FRESH) return null;
    held = null;
    const received = await renew({ code, reason, isAlone });
    return over ? null : (received ?? held);
  }

  function unlessAborted(promise, signal) {
    if (!signal) return promise;
    return new Promise((resolve, reject) => {
      const giveUp = () => reject(signal.reason);
      signal.addEventListener("abort", giveUp, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
    });
  }

  // Requests of the API that go by cookie

  function knownCsrf() {
    const start = `${csrfCookie}=`;
    const found = document.cookie.split("; ").find((each) => each.startsWith(start));
    return found ? found.slice(start.length) : csrf;
  }

  async function freshCsrf() {
    const response = await fetch(new URL("login/", root), byCookie);
    csrf = response.headers.get("X-CSRFToken") ?? "";
    return csrf || knownCsrf();
  }

  async function post(path, body) {
    const send = (value) =>
      fetch(new URL(path, root), {
        ...byCookie,
        method: "POST",
        headers: { "Content-Type": "application/json", [csrfHeader]: value },
        body: JSON.stringify(body ?? {}),
      });
    const response = await send(knownCsrf() || (await freshCsrf()));
    // The CSRF token may be an older login's.
    return response.status === 403 ? send(await freshCsrf()) : response;
  }

  /** Open a session, or prove again whose it is; the answer's token is that of a new session. */
  async function open(path, body) {
    const elapsed = stopwatch();
    const response = await post(path, body);
    if (!response.ok) throw await problemOf(response);
    const token = await tokenIn(response, elapsed);
    csrf = ""; // a login has changed it
    if (over || who?.userId !== token.user) who = over = null;
    isSure = true;
    take(token);
    share(token);
    return { ...who };
  }

  const login = ({ username, password, device, remember = true }) =>
    open("login/", { username, password, device, remember, transport: "cookie" });
  const reauthenticate = (password) => open("reauthenticate/", { password });

  async function logout() {
    if (over) return;
    isLeaving = true;
    if (isHidden) tell({ type: "ask" });
    const send = (headers) =>
      fetch(new URL("logout/", root), { ...byCookie, method: "POST", keepalive: true, headers });
    const byToken = held && { Authorization: `Bearer ${held.value}` };
    const withCsrf = async (value) => ({ [csrfHeader]: value || (await freshCsrf()) });
    try {
      // By cookie, for that deletes the cookies. The page may go at any moment: one request has to do.
      const value = knownCsrf();
      let response = await send(value || !byToken ? await withCsrf(value) : byToken);
      if (!response.ok && byToken) response = await send(byToken);
      else if (response.status === 403) response = await send(await withCsrf());
      if (!response.ok && response.status !== 401) throw await problemOf(response);
      if (who) end({ reason: "logout" });
      else tell({ type: "ask" });
      isNobody = over === null;
    } finally {
      isLeaving = false;
    }
  }

  // Calls

  /** Take over the token of a silent renewal. */
  function notice(url, value) {
    const claims = value && url && isOurs(url) ? claimsOf(value) : null;
    const life = (claims?.exp - claims?.iat) * 1000;
    if (life > 0 && !over) receive(new Token(value, claims, life));
  }

  async function authFetch(input, init = {}) {
    const isRequest = input instanceof Request;
    const headers = new Headers(init.headers ?? (isRequest ? input.headers : undefined));
    const target = new URL(isRequest ? input.url : input, document.baseURI);
    if (!isOurs(target) || headers.has("Authorization")) return fetch(input, init);
    const canRepeat = !isStream(init.body);
    let token = await current(init.signal ?? (isRequest ? input.signal : null));
    for (let tries = 1; ; tries += 1) {
      if (token) headers.set("Authorization", `Bearer ${token.value}`);
      const response = await fetch(isRequest ? input.clone() : input, { ...init, headers });
      const url = response.url || target; // a service worker's own answer has none
      notice(url, response.headers.get("X-Access-Token"));
      const next = await cure(token, tries, response.status, url, response.headers);
      if (!next || !canRepeat) return response;
      void response.body?.cancel().catch(ignore);
      token = next;
    }
  }

  const isStream = (body) => typeof ReadableStream !== "undefined" && body instanceof ReadableStream;

  /** Return the token with which a request is to be sent once more; null if its answer stands. */
  async function cure(token, tries, status, url, headers) {
    const refusal = token && url && isOurs(url) ? refusalIn(status, headers.get("WWW-Authenticate")) : null;
    // Once more; twice where the first token, or the second, came from another tab.
    if (token && status >= 200 && status < 300) isSure = true;
    if (!refusal || tries > 2 || (tries === 2 && token.sent)) return null;
    return another(token, refusal, tries === 2);
  }

  function axios(instance) {
    instance.interceptors.request.use(async (config) => {
      const { authx } = config;
      if (!isOurs(instance.getUri(config))) {
        const ours = authx?.token && `Bearer ${authx.token.value}`;
        // The config of a call that failed, sent again to another place.
        if (ours && config.headers.get("Authorization") === ours) config.headers.delete("Authorization");
        delete config.authx;
        return config;
      }
      if (!authx && config.headers.has("Authorization")) return config;
      const token = authx?.token ?? (await current(config.signal));
      if (token) config.headers.set("Authorization", `Bearer ${token.value}`);
      config.authx = { token, tries: (authx?.tries ?? 0) + 1 };
      return config;
    });
    const urlOf = ({ request }) => request?.responseURL || request?.url;
    const took = (response) => {
      notice(urlOf(response), response.headers?.["x-access-token"]);
      return response;
    };
    instance.interceptors.response.use(took, async (error) => {
      const { config, response } = error;
      if (!response) throw error;
      took(response);
      const { token, tries } = config.authx ?? {};
      const next = await cure(token, tries, response.status, urlOf(response), response.headers);
      if (!next || isStream(config.data)) throw error;
      return instance.request({ ...config, authx: { token: next, tries } });
    });
    return instance;
  }

  async function token() {
    return (await current())?.value ?? null;
  }

  /** Ask the server whether the session is still there; return it, or null. After `ended`, begin anew. */
  async function check() {
    const [lastOver, lastWho] = [over, who];
    isNobody = false;
    if (over) {
      over = who = null;
      try {
        await renew();
      } catch (error) {
        if (!who) [over, who] = [lastOver, lastWho];
        throw error;
      }
      if (!who) [over, who, isNobody] = [lastOver, lastWho, false];
    } else if (held && held.left > 0) {
      const response = await authFetch(new URL("session/", root), { cache: "no-store" });
      if (!response.ok && response.status !== 401) throw await problemOf(response);
    } else {
      await renew();
    }
    return over || !who ? null : { ...who };
  }

  // The page

  let away = null;
  let covered = null;
  function visible() {
    const ms = away?.() ?? 0;
    away = null;
    awake(ms);
  }

  function awake(ms) {
    isNobody = false;
    for (const socket of sockets) socket._awake(ms);
    if (over || !who) return;
    if (ms >= AWAY) check().catch(ignore);
    else if (!held || held.isOld) renew().catch(ignore);
  }

  /** A page that the browser keeps comes back as it was left: ask before anybody reads it. */
  function cover() {
    covered ??= document.documentElement.style.visibility;
    document.documentElement.style.visibility = "hidden";
  }

  async function returned() {
    if (!who) return;
    cover();
    if (over) return location.reload(); // it was told, and had left
    for (const socket of sockets) socket._awake(AWAY);
    await Promise.race([check().catch(ignore), later(HIDE)]);
    document.documentElement.style.visibility = covered;
    covered = null;
  }

  function listen(target, type, listener) {
    target.addEventListener(type, listener, { signal: stop.signal });
  }
  listen(document, "visibilitychange", () => {
    if (document.visibilityState === "visible") visible();
    else away = stopwatch();
  });
  listen(document, "resume", visible);
  listen(window, "online", () => awake(0));
  listen(window, "pagehide", ({ persisted }) => {
    isHidden = true;
    if (isLeaving) tell({ type: "ask" });
    if (persisted && who) cover();
  });
  listen(window, "pageshow", ({ persisted }) => {
    isHidden = false;
    if (persisted) void returned();
  });

  function close() {
    stop.abort();
    for (const socket of [...sockets]) socket.close();
    channel?.close();
  }

  // Sockets

  /** Return a ticket, good for one handshake, as a token that lives as long as the one it stands for. */
  async function ticket() {
    const ticketOf = await current();
    if (!ticketOf) return null;
    const elapsed = stopwatch();
    const response = await authFetch(new URL("socket-ticket/", root), { method: "POST" });
    if (!response.ok) throw await problemOf(response);
    const { ticket: value, token_expires_in: life } = await response.json();
    const claims = { sid: who?.sessionId, sub: who?.userId };
    return Object.assign(new Token(value, claims, life * 1000, { elapsed }), { ticketOf: held ?? ticketOf });
  }

  function socket(url, protocols = [], options = {}) {
    const access = { another, check, current, root, ticket, sockets, isOver: () => over };
    return new AuthSocket(access, url, protocols, options);
  }

  return Object.freeze({
    fetch: authFetch, axios, socket, on, login, logout, reauthenticate, check, token, close,
    get session() {
      return over || !who ? null : { ...who };
    },
    get ended() {
      return over;
    },
  });
}

/** Return the close event of a socket, where the browser has one. */
function closing(code, reason) {
  return new CloseEvent("close", { code, reason, wasClean: code !== 1006 });
}

/**
 * A socket behind the door of authx, which comes back: every connection carries a token that is good by then.
 *
 * Dispatches `open` for each connection, `message`, `lost` when one is gone and another will be made, and
 * `close` when none will.
 */
class AuthSocket extends EventTarget {
  #access;
  #options;
  #protocols;
  #ws = null;
  #offered = null; // the token or ticket that the connection has presented
  #sent = null; // the one that is being presented on the open connection
  #timers = new Map();
  #failures = 0;
  #quick = 0; // connections made at once, without a wait
  #isDoubtful = false; // a handshake failed: browsers do not say why
  #isDone = false;
  #openFor = null;

  constructor(access, url, protocols, { ticket = false, frames = true, anonymous = false, comesBack } = {}) {
    super();
    this.#access = access;
    this.#options = { ticket, frames, anonymous, comesBack };
    this.#protocols = typeof protocols === "string" ? [protocols] : [...protocols];
    const target = new URL(url, location.href);
    target.protocol = target.protocol.replace(/^http/, "ws");
    const isOurs = target.origin === access.root.origin.replace(/^http/, "ws");
    if (!isOurs && !ticket) throw new TypeError("an access token goes to its own origin alone; use a ticket");
    this.url = target.href;
    this.binaryType = "blob";
    access.sockets.add(this);
    void this.#connect();
  }

  get readyState() {
    if (this.#isDone) return WebSocket.CLOSED;
    return this.#ws?.readyState === WebSocket.OPEN ? WebSocket.OPEN : WebSocket.CONNECTING;
  }

  get protocol() {
    const chosen = this.#ws?.protocol ?? "";
    return chosen === "authx" ? "" : chosen;
  }

  get bufferedAmount() {
    return this.#ws?.bufferedAmount ?? 0;
  }

  /** Send on the open connection; nothing is kept for a later one. */
  send(data) {
    if (this.readyState !== WebSocket.OPEN) {
      throw new DOMException("The socket is not open.", "InvalidStateError");
    }
    this.#ws.send(data);
  }

  /** Close it for good. */
  close(code = 1000, reason = "") {
    if (this.#isDone) return;
    this.#ws?.close(code, reason);
    this.#finish(code, reason);
  }

  // For the client that made it

  _end(reason) {
    this.#drop();
    this.#finish(4401, reason);
  }

  /** The page is looked at again, after so many ms, or the network is back: trust no connection. */
  _awake(away) {
    if (this.#timers.has("wait")) this.#connectNow();
    else if (this.#ws?.readyState === WebSocket.CONNECTING) this.#expect("connect", ANSWER_WAIT);
    else if (this.readyState === WebSocket.OPEN && away >= AWAY) void this.#ping();
  }

  // Connecting

  async #connect() {
    try {
      this.#offered = await this.#credential();
    } catch {
      return this.#isOver() || this.#wait();
    }
    if (this.#isDone) return;
    if (!this.#offered && !this.#options.anonymous) return this.#finish(4401, "not_authenticated");
    const kind = this.#options.ticket ? "ticket" : "bearer";
    const ours = this.#offered ? ["authx", `authx.${kind}.${this.#offered.value}`] : [];
    let ws;
    try {
      ws = new WebSocket(this.url, [...ours, ...this.#protocols]);
    } catch (error) {
      reportError(error); // a subprotocol that is none
      return this.#finish(1006, "");
    }
    ws.binaryType = this.binaryType;
    this.#ws = ws;
    this.#openFor = null;
    this.#after("connect", CONNECT_WAIT, () => void this.#lost(1006, ""));
    const unlessGone = (listener) => (event) => this.#ws === ws && listener(event);
    ws.onopen = unlessGone(() => this.#opened());
    ws.onmessage = unlessGone(({ data }) => this.#received(data));
    ws.onclose = unlessGone(({ code, reason }) => void this.#lost(code, reason));
  }

  #credential() {
    return this.#options.ticket ? this.#access.ticket() : this.#access.current();
  }

  #isOver() {
    const over = this.#access.isOver();
    if (over) this.#finish(4401, over.reason);
    return over !== null;
  }

  #opened() {
    this.#cancel("connect");
    this.#openFor = stopwatch();
    this.#isDoubtful = false;
    this.#renewInTime();
    this.dispatchEvent(new Event("open"));
  }

  #connectNow() {
    this.#cancel("wait");
    void this.#connect();
  }

  /** Leave a connection that does not answer, and make another. */
  #anew() {
    this.#drop();
    this.dispatchEvent(new CustomEvent("lost", { detail: { code: 1006, reason: "" } }));
    this.#connectNow();
  }

  #expect(name, ms) {
    this.#after(name, ms, () => this.#anew());
  }

  #drop() {
    const ws = this.#ws;
    this.#ws = null;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    ws?.close();
  }

  // Losing, and coming back

  async #lost(code, reason) {
    const opened = this.#openFor !== null;
    if (opened && this.#openFor() > AWAY) this.#failures = this.#quick = 0;
    this.#drop();
    if (this.#isDone || this.#isOver()) return;
    const ours = code === 4401 || code === 4408;
    if (!ours && !(this.#options.comesBack?.({ code, reason }) ?? PASSING.has(code))) {
      return this.#finish(code, reason);
    }
    this.#isDoubtful = !opened;
    this.dispatchEvent(new CustomEvent("lost", { detail: { code, reason } }));
    if (!ours || !this.#offered) return this.#wait();
    // Ended, or the token is refused: the truth is one refresh by cookie away.
    const refusal = code === 4401 ? { code: "session_ended", reason } : { code: reason, reason: "" };
    const refused = this.#offered.ticketOf ?? this.#offered;
    const next = await this.#access.another(refused, refusal).catch(() => null);
    if (this.#isDone || this.#isOver()) return;
    this.#quick += 1;
    if (next && this.#quick === 1) void this.#connect();
    else this.#wait();
  }

  /** Come back after a while that differs: those who were cut off together do not return together. */
  #wait() {
    if (this.#isDone) return;
    const most = Math.min(30000, 4000 * 2 ** this.#failures);
    this.#failures += 1;
    this.#after("wait", 1000 + Math.random() * (most - 1000), async () => {
      try {
        if (this.#isDoubtful && this.#offered) await this.#access.check();
      } catch {
        return this.#wait();
      }
      if (!this.#isDone && !this.#isOver()) void this.#connect();
    });
  }

  #finish(code, reason) {
    if (this.#isDone) return;
    this.#isDone = true;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    this.#access.sockets.delete(this);
    this.dispatchEvent(closing(code, reason));
  }

  // Renewing in band

  #received(data) {
    if (this.#options.frames && typeof data === "string" && data.startsWith('{"type":"authx.')) {
      const isRenewed = data.startsWith('{"type":"authx.renewed",');
      if (isRenewed || data.startsWith('{"type":"authx.not_renewed",')) {
        this.#cancel("answer");
        if (isRenewed) this.#offered = this.#sent ?? this.#offered;
        return this.#renewInTime(isRenewed ? 1000 : 5000);
      }
    }
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** Renew when the token is old, but not before `least` ms. */
  #renewInTime(least = 1000) {
    if (!this.#offered || !this.#options.frames) return;
    // A timer may be early, when the token is not old yet.
    const old = this.#offered.left - this.#offered.margin + EARLY;
    const due = Math.max(old, least + 1000 * Math.random());
    this.#after("renew", Math.min(due, 2 ** 31 - 1), () => void this.#renew());
  }

  async #renew(isPing = false) {
    const ws = this.#ws;
    let next;
    try {
      next = await this.#credential();
    } catch {
      return this.#isOver() || this.#renewInTime(5000);
    }
    if (this.#isDone || this.#ws !== ws || !next) return;
    if (next.sid !== this.#offered.sid) return this.#anew(); // the user has proved again who they are
    if (next === this.#offered && !isPing) return this.#renewInTime(5000);
    this.#sent = next;
    const name = this.#options.ticket ? "ticket" : "access_token";
    ws.send(JSON.stringify({ type: "authx.renew", [name]: next.value }));
    this.#expect("answer", isPing ? ANSWER_WAIT : CONNECT_WAIT);
  }

  /** Ask for an answer: the network may have gone without a word. */
  #ping() {
    return this.#options.frames && this.#offered ? this.#renew(true) : this.#anew();
  }

  #after(name, ms, then) {
    this.#cancel(name);
    const id = setTimeout(() => {
      this.#timers.delete(name);
      then();
    }, ms);
    this.#timers.set(name, id);
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
