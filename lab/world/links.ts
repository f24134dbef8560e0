/** Every link between the places of a world, by name. */
import { type Link, type LinkState, openLink } from '../proxy.ts';
import { temporalAddress, type WorldSpec } from './spec.ts';

export interface NamedLink {
  /** For example `replication eu-west > eu-central`. */
  name: string;
  kind: 'database' | 'replication' | 'app' | 'writer' | 'temporal' | 'api';
  /** Regions whose loss cuts it. */
  regions: string[];
  link: Link;
}

export interface LinkReport extends LinkState {
  name: string;
  port: number;
  connections: number;
}

export async function openLinks(spec: WorldSpec): Promise<NamedLink[]> {
  const [host, port] = temporalAddress(spec).split(':');
  const temporal = { host: host ?? '127.0.0.1', port: Number(port ?? 7233) };
  const plans = spec.regions.flatMap((region) => {
    const others = spec.regions.filter(({ name }) => name !== region.name).map(({ name }) => name);
    const own = [region.name];
    return [
      {
        name: `database ${region.name}`,
        kind: 'database',
        regions: own,
        port: region.links.database,
        to: { port: region.databasePort },
      },
      {
        name: `replication ${region.name} > ${others.join(', ')}`,
        kind: 'replication',
        regions: [...own, ...others],
        port: region.links.replication,
        to: { port: region.databasePort },
      },
      {
        name: `edge > app ${region.name}`,
        kind: 'app',
        regions: own,
        port: region.links.app,
        to: { port: region.appPort },
      },
      {
        name: `app ${region.name} > writer`,
        kind: 'writer',
        regions: own,
        port: region.links.writer,
        to: { port: spec.writerPort },
      },
      {
        name: `workers ${region.name} > temporal`,
        kind: 'temporal',
        regions: own,
        port: region.links.temporal,
        to: temporal,
      },
      ...(spec.provider === null
        ? []
        : [
            {
              name: `provider's API ${region.name}`,
              kind: 'api' as const,
              regions: own,
              port: spec.provider.regions[region.name]!,
              to: { port: spec.provider.api },
            },
          ]),
    ] as const;
  });
  return Promise.all(
    plans.map(async ({ name, kind, regions, port, to }) => ({
      name,
      kind,
      regions: [...regions],
      link: await openLink({ port, to }),
    })),
  );
}

export function reportLinks(links: NamedLink[]): LinkReport[] {
  return links.map(({ name, link }) => ({ name, port: link.port, connections: link.connections(), ...link.state() }));
}
