// Bun's built-in publish to many WebSocket clients, as the peer of `weir bench fanout`.
//
//     bun bun_publish.js CLIENTS MESSAGES SIZE PER_TURN
//
// Prints its port, waits for CLIENTS, publishes MESSAGES texts of SIZE bytes in turns of PER_TURN, each turn after the
// sockets have taken the one before, and prints one JSON line with its own CPU time.
const [clientCount, messageCount, size, perTurn] = process.argv.slice(2).map(Number);
const text = "m".repeat(size);
const sockets = [];

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 })),
  websocket: {
    perMessageDeflate: false,
    backpressureLimit: 64 << 20,
    message() {},
    open(socket) {
      socket.subscribe("stream");
      sockets.push(socket);
      if (sockets.length === clientCount) setTimeout(broadcast, 0);
    },
  },
});
console.log(JSON.stringify({ port: server.port }));

const turnEnd = () => new Promise((resolve) => setImmediate(resolve));
const waiting = () => sockets.some((socket) => socket.readyState === 1 && socket.getBufferedAmount() > 0);

async function broadcast() {
  const wall = performance.now();
  const cpu = process.cpuUsage();
  for (let sent = 0; sent < messageCount; ) {
    for (let i = 0; i < perTurn && sent < messageCount; i++, sent++) server.publish("stream", text);
    // Sleeping, not spinning: waiting for readers is not to cost the server CPU time.
    for (await turnEnd(); waiting(); ) await Bun.sleep(1);
  }
  const used = process.cpuUsage(cpu);
  const result = {
    deliveries: messageCount * clientCount,
    cpu_seconds: (used.user + used.system) / 1e6,
    wall_seconds: (performance.now() - wall) / 1000,
  };
  console.log(JSON.stringify(result));
  setTimeout(() => process.exit(0), 200);
}
