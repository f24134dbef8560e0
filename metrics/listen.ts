/** The one path that Prometheus reads. */
import { createServer, type Server } from 'node:http';

/**
 * Serves `GET /metrics`, and nothing else.
 * @param text everything there is to say, in Prometheus' text format
 * @throws Error of Node (`EADDRINUSE`, …) when nothing can listen there
 */
export async function listenForScrapes(
  { host, port }: { host: string; port: number },
  text: () => string | Promise<string>,
): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    Promise.resolve()
      .then(text)
      .then(
        (all) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(all),
        () => response.writeHead(500).end(),
      );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}
