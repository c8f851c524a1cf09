// Calls the services through the site, at once and every ten seconds, and shows what they answer.
import { createClient } from "../authx/client.js";

/** Between two calls (ms). */
const INTERVAL = 10_000;

const auth = createClient();
const place = (name) => document.querySelector(`[data-show="${name}"]`);

/** Write an answer as one line for each of its members. */
function show(name, answer) {
  const lines = Object.entries(answer).map(([key, value]) => `${key}: ${[value].flat().join(" ")}`);
  place(name).textContent = lines.join("\n");
  const isGood = "in_stock" in answer;
  const state = place(`${name}-state`);
  state.textContent = isGood ? "Answered" : "Refused";
  state.dataset.state = isGood ? "good" : "bad";
}

async function call() {
  let answer;
  try {
    answer = await (await auth.fetch("/api/fleet/")).json();
  } catch (error) {
    answer = { detail: String(error) };
  }
  show("exchange", answer.stock?.for_user ?? answer);
  show("own", answer.stock?.for_itself ?? answer);
}

document.querySelector('[data-do="call"]').addEventListener("click", call);
setInterval(call, INTERVAL);
await call();
