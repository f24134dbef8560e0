/**
 * What is told to, as its makers document it: Slack's Web API, PagerDuty's Events API v2, and any HTTP server. Slack and
 * PagerDuty themselves cannot be had in a test; these refuse what the documentation says is refused.
 */
import { createServer, type IncomingMessage } from 'node:http';
import { freePorts } from '../../lab/ports.ts';

export interface Received {
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

export interface Peer {
  url: string;
  received: Received[];
  /** Answers of the next requests, before the peer's own. `never`: none. */
  next: Array<Reply | 'never'>;
  close(): Promise<void>;
}

export async function startPeer(answer: (request: Received) => Reply): Promise<Peer> {
  const [port] = await freePorts(1);
  const peer: Peer = { url: `http://127.0.0.1:${port}`, received: [], next: [], close: async () => undefined };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const received = { path: request.url ?? '', headers: request.headers, body };
      peer.received.push(received);
      const reply = peer.next.shift() ?? answer(received);
      if (reply === 'never') return;
      response.writeHead(reply.status, reply.headers).end(reply.body ?? '');
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  peer.close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return peer;
}

const json = (body: object, status = 200): Reply => ({
  ...{ status, body: JSON.stringify(body) },
  headers: { 'content-type': 'application/json' },
});

// biome-ignore lint/suspicious/noExplicitAny: bodies of requests, looked at field by field
type Body = Record<string, any>;

/** `chat.postMessage` and `chat.update`: https://docs.slack.dev/reference/methods/chat.postmessage */
export function startSlack(token: string, channel: string): Promise<Peer & { messages: Map<string, Body> }> {
  const messages = new Map<string, Body>();
  const say = (request: Received): Reply => {
    // Slack answers 200 whatever it has to say.
    const refuse = (error: string): Reply => json({ ok: false, error });
    if (request.headers.authorization !== `Bearer ${token}`) return refuse('invalid_auth');
    if (!request.headers['content-type']?.startsWith('application/json')) return refuse('invalid_post_type');
    const body = JSON.parse(request.body) as Body;
    if (body.channel !== channel) return refuse('channel_not_found');
    if (typeof body.text !== 'string' || body.text === '') return refuse('no_text');
    if (!sound(body.blocks ?? [])) return refuse('invalid_blocks');
    if (request.path === '/api/chat.update') {
      if (!messages.has(body.ts)) return refuse('message_not_found');
      messages.set(body.ts, body);
      return json({ ok: true, channel, ts: body.ts, text: body.text });
    }
    if (body.thread_ts !== undefined && !messages.has(body.thread_ts)) return refuse('thread_not_found');
    const ts = `1700000000.${String(messages.size + 1).padStart(6, '0')}`;
    messages.set(ts, body);
    return json({ ok: true, channel, ts, message: { text: body.text } });
  };
  return startPeer(say).then((peer) => Object.assign(peer, { messages }));
}

/** Block Kit's limits: https://docs.slack.dev/reference/block-kit/blocks */
function sound(blocks: Body[]): boolean {
  const short = (text: Body | undefined, most: number): boolean =>
    typeof text?.text === 'string' && text.text.length > 0 && text.text.length <= most;
  return (
    blocks.length <= 50 &&
    blocks.every((block) => {
      if (block.type === 'header') return short(block.text, 150) && block.text.type === 'plain_text';
      if (block.type === 'section') return short(block.text, 3_000) && block.text.type === 'mrkdwn';
      if (block.type !== 'actions' || block.elements.length === 0 || block.elements.length > 25) return false;
      return (block.elements as Body[]).every(
        (button) =>
          button.type === 'button' &&
          short(button.text, 75) &&
          button.value.length <= 2_000 &&
          button.action_id.length <= 255 &&
          ['primary', 'danger'].includes(button.style) &&
          short(button.confirm.title, 100) &&
          short(button.confirm.text, 300) &&
          short(button.confirm.confirm, 30) &&
          short(button.confirm.deny, 30),
      );
    })
  );
}

/** https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ and …/change-events */
export function startPagerDuty(routingKey: string): Promise<Peer & { open: Set<string> }> {
  const open = new Set<string>();
  const say = (request: Received): Reply => {
    const body = JSON.parse(request.body) as Body;
    const wrong = (error: string): Reply => json({ status: 'invalid event', errors: [error] }, 400);
    if (body.routing_key !== routingKey) return wrong(`'routing_key' is invalid: ${body.routing_key}`);
    const { payload } = body;
    const dated = payload === undefined || !Number.isNaN(Date.parse(payload.timestamp));
    const short = payload === undefined || (payload.summary?.length > 0 && payload.summary.length <= 1_024);
    if (!dated || !short) return wrong("'payload' is invalid");
    if (request.path === '/v2/change/enqueue')
      return payload === undefined ? wrong("'payload' is missing") : json({ status: 'success' }, 202);
    if (request.path !== '/v2/enqueue') return json({}, 404);
    if (typeof body.dedup_key !== 'string' || body.dedup_key.length > 255) return wrong("'dedup_key' is invalid");
    if (body.event_action === 'resolve') open.delete(body.dedup_key);
    else if (body.event_action !== 'trigger') return wrong("'event_action' is invalid");
    else if (!['critical', 'error', 'warning', 'info'].includes(payload?.severity) || !payload.source)
      return wrong("'payload.severity' is invalid");
    else open.add(body.dedup_key);
    return json({ status: 'success', message: 'Event processed', dedup_key: body.dedup_key }, 202);
  };
  return startPeer(say).then((peer) => Object.assign(peer, { open }));
}
