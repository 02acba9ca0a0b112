// Reads a job from stdin, sends it with firebase-admin for Node, says what it cost. Run by tests/benchmarks/clients.py.
const http2 = require("node:http2");
const job = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
// The SDK's address is fixed: its HTTP/2 sessions are led to the sandbox. It says the scheme as "https:", which Google's
// servers let pass and others refuse.
const connect = http2.connect;
http2.connect = (authority, ...rest) => {
  const session = connect.call(http2, job.url, ...rest);
  const request = session.request;
  session.request = (headers, ...more) => request.call(session, { ...headers, ":scheme": "http" }, ...more);
  return session;
};
const admin = require("firebase-admin");
const credential = { getAccessToken: async () => ({ access_token: job.token, expires_in: 3600 }) };
const messaging = admin.initializeApp({ credential, projectId: job.project }).messaging();

async function main() {
  const batches = [];
  for (let start = 0; start < job.tokens.length; start += 500) {
    batches.push([start, job.tokens.slice(start, start + 500)]);
  }
  let accepted = 0;
  const before = process.cpuUsage();
  const started = process.hrtime.bigint();
  async function worker() {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      const messages = batch[1].map((token, i) => ({
        token,
        notification: { title: `Hello ${batch[0] + i}`, body: job.body },
        data: { pp_ref: `node.${batch[0] + i}` },
      }));
      const answers = await messaging.sendEach(messages);
      accepted += answers.successCount;
      const failed = answers.responses.find((answer) => !answer.success);
      if (failed) throw failed.error;
    }
  }
  await Promise.all([worker(), worker(), worker(), worker()]);
  const used = process.cpuUsage(before);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(JSON.stringify({ accepted, seconds, cpu_secs: (used.user + used.system) / 1e6 }));
  process.exit(0);
}
main();
