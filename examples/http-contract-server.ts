import { createServer, type IncomingMessage } from 'node:http';

type Answer = [status: number, body: object];
const { PORT, RAMPART_TOKEN, STATE = 'standby' } = process.env;
const busy = { reads: 0, writes: 0 };
let desired = STATE; // With several instances, or to survive a restart: keep it where all of them see it.
let newest = { epoch: 0, runId: '', seq: 0 };

async function contract(request: IncomingMessage): Promise<Answer> {
  if (request.headers.authorization !== `Bearer ${RAMPART_TOKEN}`) return [401, { error: 'wrong token' }];
  if (request.method === 'PUT') {
    const wish = JSON.parse(Buffer.concat(await request.toArray()).toString());
    if (!['active', 'standby', 'drained'].includes(wish.desired)) return [400, { error: 'unknown state' }];
    const token = wish.token ?? newest; // Optional: refuse an attempt that comes late, or from another run.
    const late = token.runId === newest.runId ? token.seq < newest.seq : token.epoch === newest.epoch;
    if (token.epoch < newest.epoch || late) return [409, { error: 'stale' }];
    newest = token;
    desired = wish.desired;
  }
  // "standby" is a promise that no write is left: the other side is made writable on our word.
  const state = desired === 'standby' && busy.writes > 0 ? 'active' : desired;
  return [200, { state, inflight: busy.reads + busy.writes, ready: true, token: newest }];
}

async function serve(request: IncomingMessage): Promise<Answer> {
  const kind = request.method === 'GET' || request.method === 'HEAD' ? 'reads' : 'writes';
  if (desired === 'drained' || (desired === 'standby' && kind === 'writes')) return [503, { error: desired }];
  busy[kind] += 1;
  try {
    return await yourService(request);
  } finally {
    busy[kind] -= 1; // When the work is done, not when the client has gone.
  }
}

const server = createServer((request, response) => {
  const answer = request.url === '/rampart' ? contract(request) : serve(request);
  const failed = (error: Error): Answer => [400, { error: error.message }];
  void answer.catch(failed).then(([status, body]) => response.writeHead(status).end(JSON.stringify(body)));
});
server.listen(Number(PORT), '127.0.0.1');

/** Stands for what your service does. */
async function yourService(request: IncomingMessage): Promise<Answer> {
  const received = Buffer.concat(await request.toArray());
  return [200, { received: received.length }];
}
