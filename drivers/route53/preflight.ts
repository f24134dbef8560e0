/** What stands in the way of a move, found by reading and by calling every API that the move will call. */

import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import { findingsFor } from '../findings.ts';
import type { Finding } from '../ports.ts';
import type { Confirming } from './confirm.ts';
import { authoritative, delegation } from './dns.ts';
import { isForcedOff, isHealthy, isNormal, type Look, readHealth, readName } from './health.ts';
import { type NameState, plainValue, ttlsOf } from './records.ts';
import { claimName, plainName } from './zone.ts';

type Mode = 'planned' | 'unplanned';

/**
 * @param mode what a planned move may not have, an unplanned one is only told of: its data must not wait for a name.
 *   Two regions taken for one another stop both
 * @throws ProviderUnavailable, AccessDenied when Route 53 cannot be asked at all
 */
export async function preflight(of: Confirming, mode: Mode, to: RegionName): Promise<Finding[]> {
  return findingsFor(mode, await allFindings(of, mode, to), [SWAPPED]);
}

const SWAPPED = 'route53.recordTarget';

async function allFindings(of: Confirming, mode: Mode, to: RegionName): Promise<Finding[]> {
  const { config, zone, component } = of;
  const report = (
    severity: Finding['severity'],
    code: string,
    message: string,
    remedy: string,
    region: RegionName | null = null,
  ) => ({ code: `route53.${code}`, severity, component, region, message, remedy }) satisfies Finding;
  const stops = mode === 'planned' ? ('blocker' as const) : ('warning' as const);
  const [{ zone: hosted, nameServers }, state] = await Promise.all([zone.zone(), readName(of)]);
  const zoneName = plainName(hosted.Name ?? '');
  if (plainName(config.name) !== zoneName && !plainName(config.name).endsWith(`.${zoneName}`))
    return [
      report(
        'blocker',
        'wrongZone',
        `${config.name} is not in ${config.hostedZone}, the zone of ${zoneName}.`,
        'Correct `hostedZone` or `name`.',
      ),
    ];
  const findings: Finding[] = state.problems.map(({ code, message, region }) =>
    report(
      'blocker',
      code,
      `${message}.`,
      code === 'recordTarget'
        ? 'Are two regions swapped? Correct `setIdentifier` and `target` in the topology, or the record.'
        : 'Create the record in the zone, or correct the topology: Rampart changes records and creates none.',
      region,
    ),
  );
  findings.push(...recordFindings(of, state, stops, report));

  const isPrivate = hosted.Config?.PrivateZone === true;
  if (isPrivate && config.verify === 'dns')
    findings.push(
      report(
        'blocker',
        'privateZone',
        `${config.hostedZone} is a private zone: it has no authoritative servers to ask.`,
        "Say verify: 'readback' and give `resolvers` inside the VPC.",
      ),
    );
  const namesakes = await zone.namesakes(zoneName);
  const others = namesakes
    .map((one) => (one.Id ?? '').replace(/^\/hostedzone\//, ''))
    .filter((id) => id !== config.hostedZone);
  if (others.length > 0) {
    const message = `${zoneName} is also the name of ${others.join(', ')}: changes in ${config.hostedZone} do not show there.`;
    findings.push(report('warning', 'twoZones', message, 'See that clients ask the zone of the topology.'));
  }
  if (!isPrivate) findings.push(...(await delegationFindings(of, zoneName, nameServers, report)));
  if (config.verify === 'dns' && !isPrivate) await authoritative(config, zone, of.context);

  const wanted = [
    ...config.types.map((type) => ({ name: config.name, type: type as string })),
    { name: claimName(config.name), type: 'TXT' },
  ];
  const closed = await zone.protectedRecords(wanted).catch(unknownCall);
  if (closed.length > 0)
    findings.push(
      report(
        'blocker',
        'protected',
        `Protected against changes: ${closed.join(', ')}.`,
        'Delete the protections (delete-resource-record-set-protections) before the move.',
      ),
    );
  findings.push(...(await permissionFindings(of, report)));
  findings.push(...(await healthFindings(of, state, { stops, to }, report)));
  return findings;
}

type Report = (
  severity: Finding['severity'],
  code: string,
  message: string,
  remedy: string,
  region?: RegionName | null,
) => Finding;

function recordFindings({ config }: Confirming, state: Look, stops: 'blocker' | 'warning', report: Report): Finding[] {
  const found: Finding[] = [];
  for (const set of state.strangers) {
    const which = `${config.name} ${set.Type} "${set.SetIdentifier ?? 'simple'}"`;
    const idle = set.Weight === 0;
    const message = `${which} is a record of no region of the topology${idle ? ', with weight 0' : ''}.`;
    found.push(
      report(
        idle ? 'warning' : 'blocker',
        'otherRecord',
        message,
        'Give it a region in the topology, or remove it: it takes a share of the traffic.',
      ),
    );
  }
  for (const set of state.otherTypes) {
    const message = `${config.name} also has ${set.Type} records${set.SetIdentifier ? ` ("${set.SetIdentifier}")` : ''}, which are not moved.`;
    found.push(report('warning', 'otherType', message, 'Add the type to `types`, or be sure that nobody uses it.'));
  }
  const ttls = Object.values(ttlsOf(state));
  const longest = Math.max(0, ...ttls);
  if (longest * 1000 > config.waitForTtl) {
    const message = `${config.name} has a TTL of ${longest} s; at most ${config.waitForTtl / 1000} s are waited for.`;
    found.push(report(stops, 'ttlTooLong', message, `Lower it by hand ${longest} s before, or raise \`waitForTtl\`.`));
  } else if (longest * 1000 > config.ttl) {
    const message = `${config.name} has a TTL of ${longest} s: it is lowered to ${config.ttl / 1000} s first, and put back at the end.`;
    const remedy =
      stops === 'blocker'
        ? `Before traffic moves ${longest} s are waited.`
        : `Clients may keep the old answer for ${longest} s.`;
    found.push(report(stops === 'blocker' ? 'info' : 'warning', 'ttlLowered', message, remedy));
  }
  if (new Set(ttls).size > 1)
    found.push(
      report(
        'info',
        'ttlsDiffer',
        `The records of ${config.name} have different TTLs: ${[...new Set(ttls)].join(', ')} s.`,
        'Give them one.',
      ),
    );
  if (state.edited)
    found.push(
      report(
        'warning',
        'changedByHand',
        `${config.name} was changed by somebody else after run ${state.claim?.runId} wrote it.`,
        'See that what it says now is meant.',
      ),
    );
  return found;
}

async function delegationFindings(
  { config, context }: Confirming,
  zoneName: string,
  nameServers: string[],
  report: Report,
): Promise<Finding[]> {
  const own = nameServers.map(plainValue).sort();
  for (const resolver of config.resolvers) {
    const told = await delegation(resolver, zoneName, context.signal);
    if (told === null || own.some((name) => told.includes(name))) continue;
    const message = `${resolver} finds ${zoneName} at ${told.join(', ')}, not at the servers of ${config.hostedZone} (${own.join(', ')}).`;
    return [
      report(
        'blocker',
        'notDelegated',
        message,
        'Another zone of this name is the one that clients ask: correct `hostedZone`.',
      ),
    ];
  }
  return [];
}

/** Asks for a change that cannot be made: what is not there cannot be deleted. With the right to change, the answer is no. */
async function permissionFindings({ config, zone }: Confirming, report: Report): Promise<Finding[]> {
  const nowhere = {
    Name: claimName(config.name),
    Type: 'TXT' as const,
    TTL: 1,
    ResourceRecords: [{ Value: '"rampart: may this worker change records?"' }],
  };
  try {
    await zone.submit([{ Action: 'DELETE', ResourceRecordSet: nowhere }], 'rampart preflight: changes nothing');
    return [];
  } catch (error) {
    // Refused for what was asked: whoever asked may ask. Without an answer nothing is known of the right.
    if (error instanceof AwsRefusal) return [];
    if (!(error instanceof RampartError) || error.type !== 'AccessDenied') throw error;
    return [report('blocker', 'cannotChange', error.message, error.remedy)];
  }
}

interface Situation {
  stops: 'blocker' | 'warning';
  to: RegionName;
}

async function healthFindings(
  of: Confirming,
  state: NameState,
  { stops, to }: Situation,
  report: Report,
): Promise<Finding[]> {
  const { config, sides, zone } = of;
  if (config.policy === 'simple') return [];
  const health = await readHealth(zone, state);
  const found: Finding[] = [];
  for (const side of sides) {
    const one = health.find((each) => each.side === side);
    if (one === undefined) {
      const severity = config.policy === 'latency' ? 'blocker' : 'info';
      const message = `The records of ${side.region} have no health check: it cannot be ${config.policy === 'latency' ? 'taken off' : 'fenced by DNS'}.`;
      found.push(
        report(severity, 'noHealthCheck', message, 'Give them a health check; weight 0 is no fence.', side.region),
      );
      continue;
    }
    for (const check of one.checks) {
      if (check.HealthCheckConfig?.Type === 'RECOVERY_CONTROL')
        found.push(
          report(
            'blocker',
            'routingControl',
            `The health check ${check.Id} of ${side.region} is an ARC routing control.`,
            'Drive it with a component of type arc-routing-control.',
            side.region,
          ),
        );
      else if (!isNormal(check, side) && !isForcedOff(check))
        found.push(
          report(
            'warning',
            'healthCheckSettings',
            `The health check ${check.Id} of ${side.region} is ${settings(check.HealthCheckConfig)}, the topology says otherwise.`,
            'Put it back, or correct `healthCheckInverted`.',
            side.region,
          ),
        );
    }
    const forced = one.checks.some(isForcedOff);
    if (forced && side.region === to && config.policy !== 'latency')
      found.push(
        report(
          'warning',
          'fenced',
          `${side.region} is fenced by its health check; the move lifts that.`,
          'Be sure that it may get traffic again.',
          side.region,
        ),
      );
    if (!forced && side.region === to && (await isHealthy(zone, one)) === false)
      found.push(
        report(
          stops,
          'unhealthy',
          `${side.region} is unhealthy by its health check: Route 53 would not answer it.`,
          'Bring it back to health first.',
          side.region,
        ),
      );
  }
  return found;
}

function settings(config: { Disabled?: boolean | undefined; Inverted?: boolean | undefined } | undefined): string {
  return `${config?.Disabled ? 'disabled' : 'enabled'} and ${config?.Inverted ? 'inverted' : 'not inverted'}`;
}

/** Emulators, and regions of older APIs, do not know protections: then there are none. */
function unknownCall(error: unknown): string[] {
  if (error instanceof AwsRefusal) return [];
  throw error;
}
