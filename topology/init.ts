/** The first topology, written from what two databases showed of themselves. Pure. */
import { nameSchema } from './schema.ts';

/** What one look at a database address showed. */
export interface ObservedDatabase {
  host: string;
  port: number;
  /** Name for its region; made up when absent. */
  region?: string;
  role: 'primary' | 'replica' | 'unreachable';
  /** PostgreSQL's system identifier; equal on a primary and its replicas. `null` = could not be read. */
  systemId: string | null;
}

export interface InitRequest {
  databases: [ObservedDatabase, ObservedDatabase];
  /** Name of the service; default `checkout`. */
  service?: string;
  /** Name of the database; default `postgres`. */
  database?: string;
  /** Role that Rampart connects as; default `rampart`. */
  user?: string;
  /** Secret reference to its password; default `${env:RAMPART_DB_PASSWORD}`. */
  password?: string;
}

/** Either a first topology with remarks for people, or the reasons why these two databases cannot be one store. */
export type InitResult = { text: string; remarks: string[] } | { refusals: string[] };

/**
 * Writes a first `rampart.yaml`. The writable side becomes the home; what could not be seen is said in a remark and
 * in a comment of the file, never guessed silently.
 */
export function firstTopology(request: InitRequest): InitResult {
  const service = request.service ?? 'checkout';
  const [first, second] = request.databases;
  const regions = request.databases.map(({ region }, i) => region ?? `region-${'ab'[i]}`);
  const refusals = refuse(request, regions, service);
  if (refusals.length > 0) return { refusals };

  const homeIndex = second.role === 'primary' || (first.role === 'replica' && second.role === 'unreachable') ? 1 : 0;
  const remarks = remark(request.databases, regions, homeIndex);
  const store = `${service}-db`;
  const sides = request.databases
    .map(
      (database, i) => `      ${regions[i]}:\n        host: ${quote(database.host)}\n        port: ${database.port}\n`,
    )
    .join('');
  const text = `# What exists, for Rampart. Check it with: rampart validate
# Completion in editors: run \`rampart schema > rampart.schema.json\`; the next line makes them use it.
# yaml-language-server: $schema=./rampart.schema.json
${remarks.map((line) => `# Note: ${line.replace(/\s+/g, ' ')}\n`).join('')}version: 1

regions:
${regions.map((region) => `  ${region}: {}\n`).join('')}
# Built in: critical (RTO 5m, RPO 1m), important (30m, 15m), standard (4h, 1h). Add or override them under \`tiers:\`.

components:
  ${store}:
    type: postgres
    database: ${quote(request.database ?? 'postgres')}
    user: ${quote(request.user ?? 'rampart')}
    # A secret stands here by reference only: \${env:NAME} or \${file:/path}, resolved by the workers.
    password: ${request.password ?? '${env:RAMPART_DB_PASSWORD}'}
    sides:
      # With \`dataDir: /var/lib/postgresql/…\` on both sides, a worker beside each server can stop it and prove it,
      # which is the strongest fence and lets the old primary return without a new copy.
${sides}
  # What sends the clients to the active side; \`rampart schema\` lists every type and field.
  # writer:
  #   type: traefik
  #   # With \`place: { region: … }\`, unless every control worker's machine has the file (docs/traefik.md).
  #   kind: endpoint
  #   file: /etc/traefik/dynamic/${service}-writer.yml
  #   api: http://127.0.0.1:8080
  #   service: ${service}-writer
  #   sides:
${request.databases.map((database, i) => `  #     ${regions[i]}: { address: ${quote(`${database.host}:${database.port}`)} }\n`).join('')}
services:
  ${service}:
    owner: me              # the team that answers for it
    tier: standard
    home: ${regions[homeIndex]}
    standby: ${regions[1 - homeIndex]}
    components: [${store}]
    # checks: [${service}-ready]      # name at least one: it tells a good move from a bad one
    ramp:
      steps: [10, 25, 50, 100]       # percent of the traffic that has moved after each step
      bake: 1m                       # hold and watch after each
    approvals:
      cutover: { required: 1, timeout: 30m }
`;
  return { text, remarks };
}

function refuse({ databases, password }: InitRequest, regions: string[], service: string): string[] {
  const [first, second] = databases;
  const refusals: string[] = [];
  for (const name of [...regions, service]) {
    const problem = nameSchema.safeParse(name).error?.issues[0];
    if (problem !== undefined) refusals.push(`"${name}": ${problem.message}`);
  }
  if (regions[0] === regions[1])
    refusals.push(`both databases are said to be in ${regions[0]}: a failover needs two regions`);
  if (first.host === second.host && first.port === second.port) refusals.push('both addresses are the same');
  if (password !== undefined && !/^\$\{(env|file):[^{}]+\}$/.test(password)) {
    refusals.push(
      'the password must be a reference, ${env:NAME} or ${file:/path}: the file would keep it for everybody to read',
    );
  }
  if (first.systemId !== null && second.systemId !== null && first.systemId !== second.systemId) {
    refusals.push(
      `the two databases are not copies of each other: their system identifiers are ${first.systemId} and ${second.systemId}; make one a physical replica of the other first`,
    );
  } else if (first.role === 'primary' && second.role === 'primary') {
    refusals.push(
      'both databases accept writes: that is a split brain; decide which one is right and rebuild the other as its replica first',
    );
  }
  return refusals;
}

function remark(databases: readonly ObservedDatabase[], regions: string[], homeIndex: number): string[] {
  const remarks = databases.flatMap((database, i) =>
    database.role === 'unreachable'
      ? [`${database.host}:${database.port} did not answer: ${regions[i]} is written down as it was given, unchecked`]
      : [],
  );
  if (!databases.some(({ role }) => role === 'primary')) {
    remarks.push(`no database that answered accepts writes: home is set to ${regions[homeIndex]}, check it`);
  }
  if (databases.every(({ role }) => role !== 'unreachable') && databases.some(({ systemId }) => systemId === null)) {
    remarks.push('a system identifier could not be read, so nothing shows that the two are copies of each other');
  }
  return remarks;
}

/** Plain when YAML reads it back as the same text, else in double quotes. */
function quote(text: string): string {
  return /^[A-Za-z_][A-Za-z0-9_./-]*$/.test(text) && !/^(true|false|null|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);
}
