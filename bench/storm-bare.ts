/** The least that could answer a webhook, for comparison: reads the body, looks at nothing, answers 202. Argument: port. */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const app = new Hono();
app.post('/hooks/:source', async (c) => {
  await c.req.raw.arrayBuffer();
  return c.json({ result: 'accepted' }, 202);
});
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.argv[2]) });
