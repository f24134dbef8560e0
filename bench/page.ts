/** `docs/performance.md`, made from the benchmarks' JSON. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../lab/paths.ts';
import { resultsFolder, rowsOf, type Saved } from './statistics.ts';

const INTRODUCTION = `# Performance

Generated from \`bench/results/*.json\` by \`node dist/bench/main.js page\`; do not edit. A number here is the median of
repeated runs with its spread, on the machine and at the time named with it. Nothing of this is asserted in tests.

\`\`\`
node scripts/build.mjs
node dist/bench/main.js <benchmark> [--runs N] [--alone] [--note TEXT]
\`\`\`

\`--alone\` leaves the peer out. The peer needs Debian 12 with \`apt-get\`; its packages are unpacked below \`.lab/\`, not
installed. \`--note\` keeps a sentence about the circumstances with the numbers.
`;

const CLOSING = `## What the time without writes is made of

The client stops being answered when the source begins its fast stop, and is answered again when the writer endpoint
leads to the promoted target. In between lie the source's shutdown checkpoint and the proof of it, the target's last
applied record, the promotion, one write probe and one change of the router, each a durable step of the workflow:
the step's own work, plus the server's transactions and two hops between server and worker.

* **A Temporal server with defaults adds 51 ms to every step**, because a shard's queues are read at most 20 times a
  second. Set \`history.transferProcessorMaxPollRPS\` and \`history.timerProcessorMaxPollRPS\` to 2000 on a server of your
  own, as the lab does.
* **The lab's Temporal does not wait for the disk** (\`--sqlite-pragma synchronous=off\`): a run makes about 1,250 syncs
  otherwise. A server with a database of its own spends that time there.
* **Traefik makes a new key at every change unless it has a default certificate**, which takes 30 to 70 ms on two cores.
  Give it one; the lab writes \`default-certificate.yml\` into the folder of routes.
* PostgreSQL's control file is read directly (checksum verified, versions 15 to 18) instead of starting
  \`pg_controldata\`, which took 8 ms and more each time.
`;

/** Writes the page. @returns its path */
export function writePage(benchmarks: readonly string[]): string {
  const sections = benchmarks.flatMap((name) => {
    const file = join(resultsFolder(), `${name}.json`);
    return existsSync(file) ? [sectionOf(JSON.parse(readFileSync(file, 'utf8')) as Saved)] : [];
  });
  const path = join(repositoryRoot(), 'docs/performance.md');
  writeFileSync(path, [INTRODUCTION, ...sections, CLOSING].join('\n'));
  return path;
}

function sectionOf({ benchmark, about, measures, notes, at, machine }: Saved): string {
  const [header, ...rows] = rowsOf(measures);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    `## ${benchmark}`,
    '',
    about,
    '',
    line(header!),
    line(header!.map((name) => (['min', 'median', 'max', 'runs'].includes(name) ? '---:' : '---'))),
    ...rows.map(line),
    '',
    ...notes.map((note) => `* ${note}`),
    `* Measured ${at.slice(0, 10)} on ${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}.`,
    '',
  ].join('\n');
}
