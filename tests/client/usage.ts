// Every name of the client, as a program in TypeScript uses it. It is compiled, never run.
import {
  AuthError,
  createClient,
  MESSAGES,
  type AuthSocket,
  type AxiosLike,
  type Client,
  type ClientEvents,
  type ClientOptions,
  type Ended,
  type EndReason,
  type LoginOptions,
  type Session,
  type SocketEvents,
  type SocketOptions,
} from "authx-client";
import axios, { type AxiosInstance } from "axios";

const options: ClientOptions = {
  base: "/api/auth/",
  csrfCookie: "csrftoken",
  csrfHeader: "X-CSRFToken",
  messages: { kicked: "Out!", "": "Bye." },
};
const auth: Client = createClient(options);
createClient();

const reason: EndReason = "kicked";
const sentence: string = MESSAGES[reason];
const stop: () => void = auth.on("ended", (ended: Ended) => {
  const told: [string, string, EndReason, string, string] = [
    ended.sessionId,
    ended.userId,
    ended.reason,
    ended.code,
    ended.message,
  ];
  console.log(told, sentence);
});
auth.on("started", (session: ClientEvents["started"]) => console.log(session.userId));
stop();

const credentials: LoginOptions = {
  username: "ada",
  password: "secret",
  device: { name: "Laptop", type: "web" },
  remember: false,
};

async function calls(): Promise<Session | null> {
  const opened: Session = await auth.login(credentials);
  const again: Session = await auth.reauthenticate("secret");
  const answer: Response = await auth.fetch("/api/orders/", { method: "POST", body: new FormData() });
  await auth.fetch(new URL("https://example.com/"));
  await auth.fetch(new Request("/api/orders/"));
  const instance: AxiosInstance = auth.axios(axios.create());
  const like: AxiosLike = instance;
  await instance.get("/api/orders/");
  const token: string | null = await auth.token();
  const now: Session | null = auth.session;
  const over: Ended | null = auth.ended;
  console.log(opened, again, answer.status, like, token, now, over);
  try {
    await auth.logout();
  } catch (error) {
    if (error instanceof AuthError) {
      const parts: [string, number, string, number | null, string] = [
        error.code,
        error.status,
        error.reason,
        error.retryAfter,
        error.message,
      ];
      console.log(parts, new AuthError("x", { status: 503, reason: "", retryAfter: 1, message: "" }));
    }
  }
  return auth.check();
}

function sockets(): void {
  const how: SocketOptions = {
    ticket: true,
    frames: false,
    anonymous: true,
    comesBack: ({ code, reason: why }) => code === 4000 && why === "",
  };
  const socket: AuthSocket = auth.socket("/ws/chat/", ["chat.v2"], how);
  auth.socket(new URL("wss://example.com/ws/"), "chat.v2");
  const onLost = (event: SocketEvents["lost"]): void => console.log(event.detail.code, event.detail.reason);
  socket.addEventListener("open", () => socket.send("hello"));
  socket.addEventListener("message", ({ data }) => console.log(data), { once: true });
  socket.addEventListener("lost", onLost);
  socket.removeEventListener("lost", onLost);
  socket.addEventListener("close", ({ code, reason: why }) => console.log(code, why));
  socket.binaryType = "arraybuffer";
  console.log(socket.url, socket.readyState, socket.protocol, socket.bufferedAmount);
  socket.close(1000, "done");
}

// What must not compile.
// @ts-expect-error an event that there is not
auth.on("end", () => undefined);
// @ts-expect-error a reason that there is not
const wrong: EndReason = "bored";
// @ts-expect-error a session is read, not set
auth.session = null;
// @ts-expect-error the password is missing
void auth.login({ username: "ada" });

void calls().finally(() => auth.close());
sockets();
console.log(wrong);
