// A checkout in JavaScript, on Node 20.3 or newer and nothing else: ask, act on the answer, capture.
//   STOPBANK_URL=http://127.0.0.1:8080 STOPBANK_KEY=sb_... node examples/checkout/checkout.mjs
// Several gateways are given with commas between; DEADLINE_MS is how long an answer may take.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const DEADLINE_MS = Number(process.env.DEADLINE_MS ?? 100);
// How long past the deadline an answer that is on its way is waited for.
const GRACE_MS = 50;
const LATE = Symbol("late");

const { STOPBANK_URL, STOPBANK_KEY } = process.env;
if (!STOPBANK_URL || !STOPBANK_KEY) {
  console.error("set STOPBANK_URL and STOPBANK_KEY");
  process.exit(1);
}
const urls = STOPBANK_URL.split(",");

/** One request; `signal` ends it. Throws where nothing usable comes: then another may be asked. */
async function request(url, path, body, due, signal) {
  const leftMs = Math.max(1, Math.round(due - performance.now()));
  const answer = await fetch(url + path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${STOPBANK_KEY}`,
      "content-type": "application/json",
      "stopbank-deadline-ms": String(leftMs),
    },
    body,
    redirect: "error",
    signal: AbortSignal.any([signal, AbortSignal.timeout(leftMs + GRACE_MS)]),
  });
  if (answer.status >= 500) throw new Error(`${url}: ${answer.status}`);
  return { status: answer.status, body: await answer.json(), requestId: answer.headers.get("stopbank-request-id") };
}

/** The first usable answer of two: the second sets out where the first fails or takes half the deadline. 4xx are answers. */
async function ask(path, value, deadlineMs = DEADLINE_MS) {
  const due = performance.now() + deadlineMs;
  // The same text twice: the same transaction, which is decided once.
  const body = JSON.stringify(value);
  const over = new AbortController();
  const attempt = (url) => request(url, path, body, due, over.signal);
  try {
    const first = attempt(urls[0]);
    const answer = await Promise.race([first, sleep(deadlineMs / 2, LATE, { signal: over.signal })]).catch(() => LATE);
    if (answer !== LATE) return answer;
    return await Promise.any([first, attempt(urls[1 % urls.length])]);
  } finally {
    over.abort();
  }
}

const purchase = {
  // A UUID is never taken for a card number; a long run of digits may be.
  transaction_id: randomUUID(),
  account_id: "a-node",
  amount: 19900,
  currency: "CNY",
  event_time: Date.now(),
  merchant_id: "m-1001",
  mcc: "5411",
  device_id: "d-node",
  ip: "203.0.113.8",
};

let decided;
try {
  decided = await ask("/v1/decisions", purchase);
} catch (error) {
  // Nobody answered: your own policy decides.
  console.error("no gateway answers:", (error.errors ?? [error]).map((each) => each.message).join("; "));
  process.exit(2);
}
if (decided.status !== 200) {
  // Problem details: `type` to branch on, `errors` for the fields.
  console.error(`${decided.status} ${decided.body.type}: ${decided.body.detail}`);
  process.exit(1);
}
const { action, reasons, degraded } = decided.body;
// A tier and a cause where it is not the full decision; the mark of a full one, like credit-unknown, has no cause.
const [tier, cause] = degraded;
if (cause) console.log(`answered by ${tier}, because of ${cause}`);
console.log(`${purchase.transaction_id}: ${action} [${reasons.map((reason) => reason.code).join(", ")}]`);
if (action === "approve") {
  const path = `/v1/purchases/${encodeURIComponent(purchase.transaction_id)}/capture`;
  const captured = await ask(path, { account_id: purchase.account_id, event_time: Date.now() }, Math.max(DEADLINE_MS, 2_000));
  // `waiting` is kept, and answered on Kafka; a code says why it is refused.
  console.log(`capture ${captured.body.code ?? captured.body.status}`);
}
