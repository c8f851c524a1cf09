/** authx in a browser: calls and sockets that carry the access token, renewed once for all tabs. */

/** Why a session ended; `""` where the server did not say. */
export type EndReason =
  | "logout"
  | "ended_by_user"
  | "kicked"
  | "replaced"
  | "superseded"
  | "reused"
  | "idle"
  | "expired"
  | "password_changed"
  | "credentials_changed"
  | "user_disabled"
  | "user_deleted"
  | "";

/** What a person is shown, by reason. */
export declare const MESSAGES: Readonly<Record<EndReason, string>>;

export interface Session {
  /** The `sid` of the access token. */
  readonly sessionId: string;
  /** Its `sub`. */
  readonly userId: string;
}

export interface Ended extends Session {
  readonly reason: EndReason;
  /** The API's error code: `session_ended`, `refresh_reused`, `refresh_malformed` or `not_authenticated`. */
  readonly code: string;
  /** A sentence for the user, from `MESSAGES` or the option `messages`. */
  readonly message: string;
}

export interface ClientEvents {
  /** Who is signed in has become known, or somebody has signed in here. */
  started: Session;
  /** The session is over. Once per tab, whichever tab noticed. */
  ended: Ended;
}

export interface ClientOptions {
  /** Where `authx.api.urls` is mounted. Default `/api/auth/`. Tokens go to its origin alone. */
  base?: string | undefined;
  /** `CSRF_COOKIE_NAME`. Default `csrftoken`; where a script cannot read it, the token is asked for. */
  csrfCookie?: string | undefined;
  /** The header of `CSRF_HEADER_NAME`. Default `X-CSRFToken`. */
  csrfHeader?: string | undefined;
  /** Sentences in place of those of `MESSAGES`. */
  messages?: Partial<Record<EndReason, string>> | undefined;
}

export interface LoginOptions {
  username: string;
  password: string;
  device?: { name?: string; type?: string } | undefined;
  /** Whether the cookies outlive the browser. Default true. */
  remember?: boolean | undefined;
}

/** What cannot be had now, or not at all. The network's own errors are `TypeError`s, as of `fetch`. */
export declare class AuthError extends Error {
  constructor(
    code: string,
    details?: { status?: number; reason?: string; retryAfter?: number | null; message?: string },
  );
  /** The API's machine word, such as `session_ended`, `store_unavailable`, `invalid_credentials`. */
  readonly code: string;
  /** Of the answer; 0 where there was none. */
  readonly status: number;
  /** Why the session ended; else `""`. */
  readonly reason: string;
  /** In seconds, if the server said so. */
  readonly retryAfter: number | null;
}

/** The part of an axios instance that is used. */
export interface AxiosLike {
  interceptors: {
    request: { use(...handlers: any[]): unknown };
    response: { use(...handlers: any[]): unknown };
  };
  getUri(config?: any): string;
  request(config: any): Promise<any>;
}

export interface SocketOptions {
  /** Present a one-time ticket instead of the access token; needed for a socket of another origin. */
  ticket?: boolean | undefined;
  /** False for a door with `frames=False`: the socket is made anew instead of being renewed. Default true. */
  frames?: boolean | undefined;
  /** Connect without a credential where nobody is signed in, to a door with `public=True`. */
  anonymous?: boolean | undefined;
  /** Whether to come back after a close code that is not authx's. By default after those of an outage. */
  comesBack?: ((closed: { code: number; reason: string }) => boolean) | undefined;
}

export interface SocketEvents {
  /** A connection is open; again after each `lost`. */
  open: Event;
  message: MessageEvent;
  /** The connection is gone; another will be made. */
  lost: CustomEvent<{ code: number; reason: string }>;
  /** Closed for good. 4401: the session is over, for `reason`. */
  close: CloseEvent;
}

export interface AuthSocket extends EventTarget {
  readonly url: string;
  /** `CONNECTING` while it waits to come back, too. */
  readonly readyState: number;
  /** The app's subprotocol that the server chose; `""` if none. */
  readonly protocol: string;
  readonly bufferedAmount: number;
  /** For the connections to come. Default `blob`. */
  binaryType: BinaryType;
  /** Throws an `InvalidStateError` unless it is open: nothing is kept for a later connection. */
  send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void;
  /** Close it for good. */
  close(code?: number, reason?: string): void;
  addEventListener<K extends keyof SocketEvents>(
    type: K,
    listener: (this: AuthSocket, event: SocketEvents[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof SocketEvents>(
    type: K,
    listener: (this: AuthSocket, event: SocketEvents[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
}

export interface Client {
  /** As the browser's `fetch`, with the access token for our own origin; sent once more after a 401 of authx. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Put the token on an instance's requests, by interceptors; returns the instance. */
  axios<Instance extends AxiosLike>(instance: Instance): Instance;
  /** Open a socket behind the door of authx, which renews its token and comes back. */
  socket(url: string | URL, protocols?: string | readonly string[], options?: SocketOptions): AuthSocket;
  /** Listen; returns how to stop listening. */
  on<K extends keyof ClientEvents>(type: K, listener: (details: ClientEvents[K]) => void): () => void;
  /** Sign in by password; the refresh token stays in the cookie. */
  login(options: LoginOptions): Promise<Session>;
  /** Prove the password again (step-up): a new session continues this one. */
  reauthenticate(password: string): Promise<Session>;
  /** End the session; in time also while the page is left. */
  logout(): Promise<void>;
  /** Ask the server who is signed in; null if nobody is. After `ended`, begin anew. */
  check(): Promise<Session | null>;
  /** The access token, good by its age, for transports of your own; null if nobody is signed in. */
  token(): Promise<string | null>;
  /** Whose page this is, as far as is known; null before the first call, and once it is over. */
  readonly session: Session | null;
  /** What `ended` was told, if it is over. */
  readonly ended: Ended | null;
  /** Let go of everything: sockets, listeners, the other tabs. */
  close(): void;
}

export declare function createClient(options?: ClientOptions): Client;
