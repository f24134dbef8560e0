/** Tables of docs/drivers.md and docs/aws-policies.md, made from the registry and from what the suites really start. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Driver, ProviderCall } from '../../drivers/ports.ts';
import { drivers } from '../../drivers/registry.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import { sourcesBelow } from '../architecture/imports.ts';

const root = repositoryRoot();

/** What a suite starts, by the text that starts it, in the order of the table. */
const PEERS: ReadonlyArray<{ says: RegExp; peer: string }> = [
  { says: /lab\/postgres\/|postgres\/pair|installPart\('postgres'\)|PostgresServer/, peer: 'PostgreSQL 18.4' },
  { says: /installPart\('traefik'\)|traefik\/world/, peer: 'Traefik 3.7.15' },
  { says: /startMinistack/, peer: 'ministack 1.5.33' },
  { says: /startMoto/, peer: 'moto 5.2.5' },
  { says: /startMicroburst/, peer: 'microburst 0.10.0' },
  { says: /fakes\/(aws|cloudflare)\//, peer: 'own stateful fake' },
];

/** Folder in `drivers/` of every type, by its source. */
function foldersOfTypes(): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of sourcesBelow(root, 'drivers'))
    for (const [, type] of readFileSync(join(root, file), 'utf8').matchAll(/^ {2}type: '([a-z0-9-]+)',$/gm))
      found.set(type!, file.split('/')[1]!);
  return found;
}

/** Every source of the test folders of a driver; of folders that several share, those that carry its name where there are such. */
function suiteOf(folder: string, type: string): string {
  const folders = readdirSync(join(root, 'test/drivers'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join('test/drivers', entry.name))
    .filter((path) => path.endsWith(`/${folder}`) || sourcesBelow(root, path).some((file) => tries(file, folder)));
  const files = folders.flatMap((path) => sourcesBelow(root, path));
  const own = folder === type ? [] : files.filter((file) => file.split('/').at(-1)!.startsWith(`${type}.`));
  return (own.length > 0 ? own : files).map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
}

function tries(file: string, folder: string): boolean {
  const text = readFileSync(join(root, file), 'utf8');
  return /describe(Store|Router|Workload|Check)\(/.test(text) && text.includes(`drivers/${folder}/`);
}

const listed = (calls: Array<[string, ProviderCall]>, changes: boolean): string =>
  calls
    .filter(([, call]) => call.changes === changes)
    .map(([name]) => `\`${name}\``)
    .join(' ');

const peersIn = (suite: string): string[] => PEERS.filter(({ says }) => says.test(suite)).map(({ peer }) => peer);

const callsOf = (driver: Driver): Array<[string, ProviderCall]> =>
  (driver.calls ?? []).flatMap(({ calls }) => Object.entries(calls));

/** @throws Error for a driver without a suite: nothing is registered that no suite has tried */
export function driversTable(): string {
  const folders = foldersOfTypes();
  const rows = [...drivers.values()].map((driver) => {
    const folder = folders.get(driver.type);
    if (folder === undefined) throw new Error(`no source in drivers/ says type: '${driver.type}'`);
    const calls = callsOf(driver);
    const suite = suiteOf(folder, driver.type);
    if (suite === '') throw new Error(`test/drivers has no suite for ${driver.type}`);
    const page = [`docs/drivers/${driver.type}.md`, `docs/drivers/${folder}.md`, `docs/${driver.type}.md`].find(
      (path) => existsSync(join(root, path)),
    );
    const name = page === undefined ? `\`${driver.type}\`` : `[\`${driver.type}\`](${page.replace('docs/', '')})`;
    const real = calls.length === 0 ? '' : 'all of it: no account was used';
    return `| ${name} | ${driver.role} | ${listed(calls, false)} | ${listed(calls, true)} | ${peersIn(suite).join(', ') || 'servers of the tests’ own'} | ${real} |`;
  });
  return [
    '| driver | role | calls that read | calls that change | tested against | never verified against the real service |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

/** Least rights of every driver that calls AWS, as policies; of the others, as a list. */
export function policies(): string {
  const parts = [...drivers.values()]
    .filter((driver) => driver.calls !== undefined)
    .map((driver) => {
      const calls = callsOf(driver);
      const rows = calls.map(
        ([name, { right, plane, where, changes, why }]) =>
          `| \`${name}\` | \`${right}\` | ${plane} | ${where} | ${changes ? 'yes' : ''} | ${why} |`,
      );
      const head = ['| call | right | plane | sent to | changes | for |', '| --- | --- | --- | --- | --- | --- |'];
      const aws = calls.filter(([, { right }]) => /^[a-z0-9-]+:[A-Za-z]+$/.test(right));
      const policy =
        aws.length === 0 ? [] : ['', '```json', JSON.stringify(policyOf(aws.map(([, call]) => call)), null, 2), '```'];
      return [`### \`${driver.type}\``, '', ...head, ...rows, ...policy].join('\n');
    });
  return parts.join('\n\n');
}

function policyOf(calls: ProviderCall[]): object {
  const byResource = new Map<string, Set<string>>();
  for (const { right, resource } of calls) byResource.set(resource, (byResource.get(resource) ?? new Set()).add(right));
  const statements = [...byResource].map(([Resource, actions]) => ({
    Effect: 'Allow',
    Action: [...actions].sort(),
    Resource,
  }));
  return { Version: '2012-10-17', Statement: statements };
}
