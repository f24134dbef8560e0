/** Servers that the driver is tried against besides the fake, and how a zone is made in each of them alike. */

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import {
  ChangeResourceRecordSetsCommand,
  CreateHostedZoneCommand,
  ListResourceRecordSetsCommand,
  type ResourceRecordSet,
  Route53Client,
} from '@aws-sdk/client-route-53';
import type { FakeRecord } from '../../fakes/aws/route53.ts';

/** Stands between a driver and a server, and can let nothing through. */
export interface Gate {
  url: string;
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** @param onAnswer whatever the server has answered */
export async function openGate(to: string, onAnswer: () => void): Promise<Gate> {
  const { hostname, port } = new URL(to);
  const pairs = new Set<[Socket, Socket]>();
  let frozen = false;
  const join = ([client, server]: [Socket, Socket]) => {
    client.pipe(server);
    server.pipe(client);
  };
  const gate = createServer((client) => {
    const server = connect(Number(port), hostname);
    server.on('data', onAnswer);
    const pair: [Socket, Socket] = [client, server];
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    if (!frozen) join(pair);
  });
  await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(gate.address() as AddressInfo).port}`,
    freeze() {
      frozen = true;
      for (const [client, server] of pairs) {
        client.unpipe(server);
        server.unpipe(client);
      }
    },
    thaw() {
      frozen = false;
      for (const pair of pairs) join(pair);
    },
    stop: () =>
      new Promise((resolve) => {
        gate.close(() => resolve());
        for (const [client, server] of pairs) {
          client.destroy();
          server.destroy();
        }
      }),
  };
}

export function clientAt(endpoint: string, account: string): Route53Client {
  const credentials = { accessKeyId: account, secretAccessKey: 'x' };
  return new Route53Client({ region: 'us-east-1', endpoint, credentials, maxAttempts: 1 });
}

/** @returns the new zone's id */
export async function createZone(client: Route53Client, name: string, records: ResourceRecordSet[]): Promise<string> {
  const { HostedZone } = await client.send(new CreateHostedZoneCommand({ Name: name, CallerReference: name }));
  const id = HostedZone!.Id!.replace('/hostedzone/', '');
  await change(
    client,
    id,
    records.map((record) => ['UPSERT', record]),
  );
  return id;
}

export function change(
  client: Route53Client,
  HostedZoneId: string,
  changes: Array<['CREATE' | 'DELETE' | 'UPSERT', ResourceRecordSet]>,
) {
  const Changes = changes.map(([Action, ResourceRecordSet]) => ({ Action, ResourceRecordSet }));
  return client.send(new ChangeResourceRecordSetsCommand({ HostedZoneId, ChangeBatch: { Changes } }));
}

export async function listed(client: Route53Client, HostedZoneId: string): Promise<ResourceRecordSet[]> {
  return (await client.send(new ListResourceRecordSetsCommand({ HostedZoneId }))).ResourceRecordSets ?? [];
}

export function toSet(record: FakeRecord): ResourceRecordSet {
  return {
    Name: record.name,
    Type: record.type as 'A',
    TTL: record.ttl,
    ...(record.id === undefined ? {} : { SetIdentifier: record.id, Weight: record.weight }),
    ResourceRecords: (record.values ?? []).map((Value) => ({ Value })),
  };
}

export function fromSet(set: ResourceRecordSet): FakeRecord {
  return {
    name: set.Name!.replace(/\.$/, ''),
    type: set.Type!,
    ...(set.SetIdentifier === undefined ? {} : { id: set.SetIdentifier }),
    ...(set.Weight === undefined ? {} : { weight: set.Weight }),
    ...(set.TTL === undefined ? {} : { ttl: set.TTL }),
    values: (set.ResourceRecords ?? []).map(({ Value }) => Value!),
  };
}
