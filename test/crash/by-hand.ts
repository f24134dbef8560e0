/**
 * Somebody with the page of `rampart escape` and nothing else: runs what it prints, block by block, on the machine and
 * as the user that the block's title names, and reads what a person would read before going on.
 */
import { spawn } from 'node:child_process';
import { installPart } from '../../lab/parts/install.ts';
import { built, type Identity, postgresIdentity } from '../../lab/paths.ts';
import { LAB_PASSWORDS } from '../../lab/postgres/pair.ts';
import { until } from '../integration/world.ts';
import type { Ground } from './ground.ts';

/** A block hangs if it takes longer, in milliseconds. */
const BLOCK_MS = 60_000;

interface Page {
  from: string;
  to: string;
  state: string;
  steps: Array<{ title: string; component: string; commands: string[] }>;
}

interface Block {
  title: string;
  lines: string[];
}

/** @returns what is not as the page says it would be; empty when the service is at `to`, writable and served */
export async function followByHand(ground: Ground, to: string): Promise<string[]> {
  const { hands } = ground;
  const problems: string[] = [];
  const page = await readPage(ground, to);
  let checkpoint: string | null = null;
  for (const block of page.steps.flatMap(blocksOf)) {
    ground.at('fault', `by hand: ${block.title}`);
    const said = await runBlock(block);
    // What a person reads: how the old primary went down, and whether the new one has all of that.
    const location = /Latest checkpoint location:\s+([0-9A-F]+\/[0-9A-F]+)/.exec(said)?.[1];
    if (location !== undefined && /cluster state:\s+shut down/.test(said)) checkpoint = location;
    if (/See that \S+ has everything/.test(block.title) && checkpoint !== null) {
      const stopped = checkpoint;
      await until('the target has everything', async () =>
        hasApplied(await runBlock(block), stopped) ? true : undefined,
      );
    }
    const roles = await hands.roles();
    const writable = Object.keys(roles).filter((region) => roles[region] === 'primary');
    if (writable.length > 1)
      problems.push(`I1: by hand, after "${block.title}", ${writable.join(' and ')} accept writes`);
  }
  ground.at('fault', 'by hand: are clients served?');
  const { active } = await hands.world.sides();
  if (active !== to) problems.push(`by hand: ${active} is active, not ${to}`);
  const load = await hands.world.lab.load();
  const since = Date.now();
  await until(
    'clients are served',
    async () => ((await load.report(since)).acknowledged > 5 ? true : undefined),
    20_000,
  ).catch((error: Error) => problems.push(`by hand: ${error.message}`));
  const served = (await load.report(since)).regions;
  if ((served[to] ?? 0) === 0) problems.push(`by hand: no request reaches ${to}: ${JSON.stringify(served)}`);
  return problems;
}

/** `rampart escape`, as anybody would call it: no Temporal is there. */
async function readPage(ground: Ground, to: string): Promise<Page> {
  const { world } = ground.hands;
  const env = { RAMPART_CONFIG: world.report.config, RAMPART_STATE_DIR: `${world.lab.dir}/state` };
  const args = [built('clients/cli/main.js'), 'escape', 'checkout', '--to', to, '--json'];
  return JSON.parse(await run(process.execPath, args, env)) as Page;
}

/** A step's commands, by the numbered titles in it. */
function blocksOf({ title, commands }: Page['steps'][number]): Block[] {
  const blocks: Block[] = [{ title, lines: [] }];
  for (const line of commands) {
    const own = /^# \d+\. (.*)/.exec(line)?.[1];
    if (own !== undefined) blocks.push({ title: own, lines: [] });
    blocks.at(-1)!.lines.push(line);
  }
  return blocks.filter(({ lines }) => lines.some((line) => line !== '' && !line.startsWith('#')));
}

/** The block as it stands, in one shell. What fails in it is there for people to read, and does not end it. */
async function runBlock({ title, lines }: Block): Promise<string> {
  const { bin } = await installPart('postgres');
  const beside = /\(on the machine of [^)]*\)/.test(title);
  return run(
    '/bin/sh',
    ['-c', lines.join('\n')],
    { PATH: `${bin}:${process.env.PATH}`, PGPASSWORD: LAB_PASSWORDS.rampart },
    beside ? postgresIdentity() : undefined,
  );
}

function run(command: string, args: string[], env: Record<string, string>, identity?: Identity): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: '/',
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: BLOCK_MS,
      ...identity,
    });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += chunk));
    child.once('error', reject);
    // A server that was started keeps the pipes open: its starter's end is the block's.
    child.once('exit', (code, signal) =>
      signal === null
        ? setImmediate(resolve, out)
        : reject(new Error(`${args.at(-1)} ended with ${signal ?? code}:\n${out}`)),
    );
  });
}

/** Whether psql's row `replay | receive | paused` is beyond a position. */
function hasApplied(said: string, position: string): boolean {
  const replayed = /^\s*([0-9A-F]+\/[0-9A-F]+)\s*\|/m.exec(said)?.[1];
  return replayed !== undefined && orderOf(replayed) > orderOf(position);
}

function orderOf(lsn: string): bigint {
  const [high, low] = lsn.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}
