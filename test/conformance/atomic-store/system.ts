/**
 * A small real system with one writer and one reader, kept in files, whose only way to move the writer is one call to
 * its control plane: the shape of managed databases. It exists to keep the store port honest beyond PostgreSQL.
 *
 * Every member has a log of its own in a file. The writer's is copied to the reader's in order. `POST /switchover`
 * answers 202 at once and goes on by itself: it closes the writer, lets the reader catch up (unless loss is allowed),
 * and opens the other side in the next generation. Tags are kept with the cluster and changed by version, which is
 * all that a claim needs.
 */
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Member {
  region: string;
  role: 'writer' | 'reader';
  /** Entries in its log. */
  position: number;
}

export interface ClusterState {
  id: string;
  generation: number;
  /** `null` while the writer is closed. */
  writer: string | null;
  state: 'available' | 'switching';
  members: Member[];
  tags: Record<string, string>;
  /** Version of the tags. */
  version: number;
}

interface Kept {
  generation: number;
  writer: string;
  tags: Record<string, string>;
  version: number;
}

export class AtomicSystem {
  readonly dir: string;
  readonly key: string;
  readonly regions: readonly [string, string];
  #kept: Kept;
  #switching = false;
  #positions = new Map<string, number>();
  #server: Server | undefined;
  #replicating = true;
  #copying: Promise<void> = Promise.resolve();
  port = 0;

  private constructor(dir: string, regions: readonly [string, string], key: string, kept: Kept) {
    this.dir = dir;
    this.regions = regions;
    this.key = key;
    this.#kept = kept;
  }

  /** Opens the system in a folder, where it goes on from what is there. */
  static async open(dir: string, regions: readonly [string, string], key: string): Promise<AtomicSystem> {
    await mkdir(dir, { recursive: true });
    const text = await readFile(join(dir, 'cluster.json'), 'utf8').catch(() => '');
    const fresh: Kept = { generation: 1, writer: regions[0], tags: {}, version: 1 };
    const system = new AtomicSystem(dir, regions, key, text === '' ? fresh : (JSON.parse(text) as Kept));
    for (const region of regions) {
      const log = await readFile(join(dir, `${region}.log`), 'utf8').catch(() => '');
      system.#positions.set(region, log === '' ? 0 : log.trimEnd().split('\n').length);
    }
    await system.#listen();
    return system;
  }

  async close(): Promise<void> {
    const server = this.#server!;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await this.#copying;
  }

  /** Stops or continues the copying from the writer to the reader. */
  replicate(on: boolean): void {
    this.#replicating = on;
    if (on) this.#copy();
  }

  async #listen(): Promise<void> {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: Error) => send(response, 500, { error: error.message }));
    });
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve));
    this.port = (this.#server.address() as { port: number }).port;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.authorization !== `Bearer ${this.key}`) return send(response, 403, { error: 'forbidden' });
    let body = '';
    for await (const chunk of request) body += chunk;
    const input = body === '' ? {} : (JSON.parse(body) as Record<string, unknown>);
    const [path, region] = request.url!.slice(1).split('/') as [string, string | undefined];
    if (request.method === 'GET' && path === 'cluster') return send(response, 200, this.#state());
    if (request.method === 'PUT' && path === 'tags') return this.#putTags(response, input);
    if (request.method === 'POST' && path === 'write') return this.#write(response, region!);
    if (request.method === 'POST' && path === 'switchover') return this.#accept(response, input);
    return send(response, 404, { error: 'no such call' });
  }

  #state(): ClusterState {
    const { generation, writer, tags, version } = this.#kept;
    return {
      id: 'atomic-1',
      generation,
      writer: this.#switching ? null : writer,
      state: this.#switching ? 'switching' : 'available',
      members: this.regions.map((region) => ({
        region,
        role: region === writer ? 'writer' : 'reader',
        position: this.#positions.get(region)!,
      })),
      tags,
      version,
    };
  }

  async #putTags(response: ServerResponse, input: Record<string, unknown>): Promise<void> {
    if (input.version !== this.#kept.version) return send(response, 412, { error: 'the tags have changed' });
    this.#kept = { ...this.#kept, tags: input.tags as Record<string, string>, version: this.#kept.version + 1 };
    await this.#save();
    return send(response, 200, this.#state());
  }

  async #write(response: ServerResponse, region: string): Promise<void> {
    if (this.#switching || region !== this.#kept.writer)
      return send(response, 409, { error: `${region} is read-only` });
    this.#positions.set(region, this.#positions.get(region)! + 1);
    await appendFile(join(this.dir, `${region}.log`), `${this.#positions.get(region)}\n`);
    this.#copy();
    return send(response, 201, { position: this.#positions.get(region) });
  }

  #copy(): void {
    this.#copying = this.#copying.then(async () => {
      const { writer } = this.#kept;
      const reader = this.#other(writer);
      while (this.#replicating && this.#positions.get(reader)! < this.#positions.get(writer)!) {
        await sleep(1);
        this.#positions.set(reader, this.#positions.get(reader)! + 1);
        await appendFile(join(this.dir, `${reader}.log`), `${this.#positions.get(reader)}\n`);
      }
    });
  }

  #other(region: string): string {
    return this.regions[0] === region ? this.regions[1] : this.regions[0];
  }

  async #accept(response: ServerResponse, input: Record<string, unknown>): Promise<void> {
    const to = input.to as string;
    if (this.#switching) return send(response, 409, { error: 'a switchover is under way' });
    if (input.ifVersion !== this.#kept.version) return send(response, 412, { error: 'the tags have changed' });
    if (to === this.#kept.writer) return send(response, 409, { error: `${to} is the writer` });
    if (!this.regions.includes(to)) return send(response, 400, { error: `there is no ${to}` });
    this.#switching = true;
    void this.#switch(to, input.allowLoss === true);
    return send(response, 202, this.#state());
  }

  async #switch(to: string, allowLoss: boolean): Promise<void> {
    const from = this.#kept.writer;
    this.#copy();
    await this.#copying;
    await sleep(5);
    if (allowLoss || this.#positions.get(to)! >= this.#positions.get(from)!) {
      this.#kept = { ...this.#kept, writer: to, generation: this.#kept.generation + 1 };
      await this.#save();
      // The old writer becomes the copy of the new one, whatever it had beyond.
      if (this.#positions.get(from)! > this.#positions.get(to)!) {
        this.#positions.set(from, this.#positions.get(to)!);
        await writeFile(
          join(this.dir, `${from}.log`),
          await readFile(join(this.dir, `${to}.log`), 'utf8').catch(() => ''),
        );
      }
    }
    this.#switching = false;
  }

  #save(): Promise<void> {
    return writeFile(join(this.dir, 'cluster.json'), JSON.stringify(this.#kept));
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
