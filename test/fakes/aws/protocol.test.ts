import { DescribeServicesCommand, ECSClient } from '@aws-sdk/client-ecs';
import { DescribeDBInstancesCommand, ModifyDBInstanceCommand, RDSClient } from '@aws-sdk/client-rds';
import { ChangeResourceRecordSetsCommand, Route53Client } from '@aws-sdk/client-route-53';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AwsError, decodeQuery, type FakeService, list, type Operation, parseXml } from './protocol.ts';
import { FakeAws } from './server.ts';

/** One value behind a query service; its operations are those that the test calls. */
class Instances {
  name = 'a & <b>';

  service(): FakeService {
    const instance = () => ({
      DBInstanceIdentifier: this.name,
      MultiAZ: true,
      AllocatedStorage: 20,
      InstanceCreateTime: new Date(1_700_000_000_000),
      ReadReplicaDBInstanceIdentifiers: list('ReadReplicaDBInstanceIdentifier', ['r1', 'r2']),
      TagList: list('Tag', [{ Key: 'k', Value: '' }]),
    });
    const rename: Operation = ({ input }) => {
      if (input.DBInstanceIdentifier !== this.name) throw new AwsError('DBInstanceNotFound', 'no such instance', 404);
      this.name = input.NewDBInstanceIdentifier;
      return { DBInstance: instance() };
    };
    return {
      scope: 'rds',
      protocol: 'query',
      namespace: 'http://rds.amazonaws.com/doc/2014-10-31/',
      operations: {
        DescribeDBInstances: () => ({ DBInstances: list('DBInstance', [instance()]) }),
        ModifyDBInstance: rename,
      },
      snapshot: () => {
        const { name } = this;
        return () => {
          this.name = name;
        };
      },
    };
  }
}

let instances: Instances;
let fake: FakeAws;
let rds: RDSClient;

const base = (url: string) => ({
  endpoint: url,
  region: 'eu-west-1',
  maxAttempts: 1,
  credentials: { accessKeyId: '111111111111', secretAccessKey: 'x' },
});

beforeEach(async () => {
  instances = new Instances();
  const ecs: FakeService = {
    scope: 'ecs',
    protocol: 'json1.1',
    operations: {
      DescribeServices: ({ input }) => ({
        services: [{ serviceName: input.services[0], createdAt: new Date(1_700_000_000_000), desiredCount: 2 }],
      }),
    },
    snapshot: () => () => {},
  };
  const route53: FakeService = {
    scope: 'route53',
    protocol: 'rest-xml',
    namespace: 'https://route53.amazonaws.com/doc/2013-04-01/',
    routes: [['POST', '/2013-04-01/hostedzone/{zone}/rrset', 'ChangeResourceRecordSets']],
    operations: {
      ChangeResourceRecordSets: (call) => {
        const changes = call.xml().child('ChangeBatch', 'Changes')?.all('Change') ?? [];
        const value = changes[0]?.value('ResourceRecordSet', 'ResourceRecords', 'ResourceRecord', 'Value');
        return {
          root: 'ChangeResourceRecordSetsResponse',
          value: {
            ChangeInfo: {
              Id: `/change/${call.input.zone}`,
              Status: 'PENDING',
              SubmittedAt: new Date(0),
              Comment: value,
            },
          },
        };
      },
    },
    snapshot: () => () => {},
  };
  fake = await FakeAws.start([instances.service(), ecs, route53], 2);
  rds = new RDSClient(base(fake.url));
});
afterEach(() => fake.stop());

const rename = (to: string, abortSignal?: AbortSignal) =>
  rds.send(new ModifyDBInstanceCommand({ DBInstanceIdentifier: instances.name, NewDBInstanceIdentifier: to }), {
    abortSignal,
  });

describe('the wire of the AWS fakes, as the SDK reads it', () => {
  it('answers a query service with lists, numbers, dates and characters that XML reserves', async () => {
    const { DBInstances } = await rds.send(new DescribeDBInstancesCommand({}));
    expect(DBInstances).toMatchObject([
      {
        DBInstanceIdentifier: 'a & <b>',
        MultiAZ: true,
        AllocatedStorage: 20,
        InstanceCreateTime: new Date(1_700_000_000_000),
        ReadReplicaDBInstanceIdentifiers: ['r1', 'r2'],
        TagList: [{ Key: 'k', Value: '' }],
      },
    ]);
  });

  it('answers JSON with dates as epoch seconds', async () => {
    const ecs = new ECSClient(base(fake.url));
    const { services } = await ecs.send(new DescribeServicesCommand({ services: ['web'] }));
    expect(services).toMatchObject([{ serviceName: 'web', desiredCount: 2, createdAt: new Date(1_700_000_000_000) }]);
  });

  it('reads the path and the XML body of a rest service', async () => {
    const route53 = new Route53Client({ ...base(fake.url), region: 'us-east-1' });
    const set = { Name: 'a.example.', Type: 'TXT' as const, TTL: 5, ResourceRecords: [{ Value: '"x & y"' }] };
    const { ChangeInfo } = await route53.send(
      new ChangeResourceRecordSetsCommand({
        HostedZoneId: 'Z1',
        ChangeBatch: { Changes: [{ Action: 'UPSERT', ResourceRecordSet: set }] },
      }),
    );
    expect(ChangeInfo).toMatchObject({ Id: '/change/Z1', Comment: '"x & y"', SubmittedAt: new Date(0) });
  });

  it('tells account, region and endpoint, and keeps a log', async () => {
    await new RDSClient({ ...base(fake.urls[1] as string), region: 'eu-central-1' }).send(
      new DescribeDBInstancesCommand({ Filters: [{ Name: 'engine', Values: ['a', 'b'] }] }),
    );
    expect(fake.calls).toEqual([
      {
        service: 'rds',
        operation: 'DescribeDBInstances',
        region: 'eu-central-1',
        account: '111111111111',
        endpoint: 1,
        input: { Filters: [{ Name: 'engine', Values: ['a', 'b'] }] },
      },
    ]);
    expect([fake.count('DescribeDBInstances'), fake.count('DescribeDBInstances', 'eu-west-1')]).toEqual([1, 0]);
  });

  it('answers errors that the SDK knows by name, and refuses operations it does not have', async () => {
    const missing = new ModifyDBInstanceCommand({ DBInstanceIdentifier: 'other' });
    await expect(rds.send(missing)).rejects.toMatchObject({
      name: 'DBInstanceNotFoundFault',
      message: 'no such instance',
    });
    const ecs = new ECSClient(base(fake.url));
    fake.fault({ service: 'ecs', fault: new AwsError('ClusterNotFoundException', 'Cluster not found.') });
    await expect(ecs.send(new DescribeServicesCommand({ services: [] }))).rejects.toMatchObject({
      name: 'ClusterNotFoundException',
    });
    expect(fake.calls.map((call) => call.error)).toEqual(['DBInstanceNotFound', 'ClusterNotFoundException']);
  });
});

describe('faults of the AWS fakes', () => {
  it('throttled, denied, expired and unavailable are errors, and nothing is applied', async () => {
    const names: string[] = [];
    for (const fault of ['throttled', 'denied', 'expired', 'unavailable'] as const) {
      fake.fault({ operation: 'ModifyDBInstance', fault, times: 1 });
      await rename('other').catch((error: Error) => names.push(error.name));
    }
    expect(names).toEqual(['Throttling', 'AccessDenied', 'ExpiredToken', 'ServiceUnavailable']);
    expect(instances.name).toBe('a & <b>');
  });

  it('a reset is either before anything or after everything', async () => {
    fake.fault({ fault: 'reset', times: 1 });
    await expect(rename('other')).rejects.toThrow('socket hang up');
    expect(instances.name).toBe('a & <b>');
    fake.fault({ fault: 'reset', times: 1, applied: true });
    await expect(rename('other')).rejects.toThrow('socket hang up');
    expect(instances.name).toBe('other');
  });

  it('a cut answer ends in mid-body, and the call was carried out', async () => {
    fake.fault({ fault: 'cut', times: 1 });
    await expect(rename('other')).rejects.toThrow('aborted');
    expect(instances.name).toBe('other');
  });

  it('a hang has no answer, in one region only', async () => {
    fake.fault({ fault: 'hang', region: 'eu-west-1' });
    const abort = new AbortController();
    const hung = rename('other', abort.signal);
    hung.catch(() => undefined);
    await new RDSClient({ ...base(fake.url), region: 'eu-central-1' }).send(new DescribeDBInstancesCommand({}));
    while (fake.count('ModifyDBInstance') === 0) await new Promise(setImmediate);
    abort.abort();
    await expect(hung).rejects.toMatchObject({ name: 'AbortError' });
    expect(instances.name).toBe('a & <b>');
  });

  it('a call that did nothing looks like one that did', async () => {
    fake.fault({ fault: 'nothing', times: 1 });
    await expect(rename('other')).resolves.toMatchObject({ DBInstance: { DBInstanceIdentifier: 'other' } });
    expect(instances.name).toBe('a & <b>');
  });

  it('begins after some calls, ends after some, and lets others act in between', async () => {
    fake.fault({ operation: 'ModifyDBInstance', fault: 'throttled', after: 1, times: 1 });
    await rename('one');
    await expect(rename('two')).rejects.toMatchObject({ name: 'Throttling' });
    fake.fault({
      operation: 'ModifyDBInstance',
      fault: 'pass',
      times: 1,
      before: () => {
        instances.name = 'theirs';
      },
    });
    await expect(rename('three')).rejects.toMatchObject({ name: 'DBInstanceNotFoundFault' });
    await rename('four');
    expect(instances.name).toBe('four');
  });
});

describe('codecs', () => {
  it('reads lists of the query protocol by their numbers', () => {
    const body =
      'Action=X&Tags.member.2.Key=b&Tags.member.1.Key=a&Filters.Filter.1.Values.Value.1=v&Ids.1=i&Nested.Name=n&Nested.Deep.List.member.1=l&Empty=';
    expect(decodeQuery(body)).toEqual({
      Action: 'X',
      Tags: [{ Key: 'a' }, { Key: 'b' }],
      Filters: [{ Values: ['v'] }],
      Ids: ['i'],
      Nested: { Name: 'n', Deep: { List: ['l'] } },
      Empty: '',
    });
  });

  it('reads XML with prefixes, entities and empty elements, and refuses what is cut', () => {
    const root = parseXml(
      '<?xml version="1.0"?><a:r xmlns:a="u"><e/><t> &lt;&#65;&#x42;&amp;amp; </t><l><m>1</m><m>2</m></l></a:r>',
    );
    expect([root.name, root.value('e'), root.value('t'), root.value('none')]).toEqual([
      'r',
      '',
      ' <AB&amp; ',
      undefined,
    ]);
    expect(
      root
        .child('l')
        ?.all('m')
        .map(({ text }) => text),
    ).toEqual(['1', '2']);
    expect(() => parseXml('<a><b></b>')).toThrow('ends before');
    expect(() => parseXml('<a></b>')).toThrow('closes');
  });
});
