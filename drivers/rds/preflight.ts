/** Everything that can be known to stand in a failover's way before anything is changed. Reads only. */
import { RampartError } from '../errors.ts';
import type { Finding } from '../ports.ts';
import { lagBehind } from '../sql/lag.ts';
import { type Fleet, sideOf } from './config.ts';
import { isSource } from './instance.ts';
import { instanceRules, promotionRules } from './preflight-instances.ts';
import { serverRules } from './preflight-servers.ts';
import { known, readSide, type SideReading } from './reading.ts';

export type Say = (
  severity: Finding['severity'],
  code: string,
  region: string | null,
  message: string,
  remedy: string,
  override?: string,
) => void;

/** @returns findings, blockers first; none of them is thrown */
export async function preflight(
  fleet: Fleet,
  mode: 'planned' | 'unplanned',
  from: string,
  to: string,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const say: Say = (severity, code, region, message, remedy, override) =>
    void findings.push({
      code,
      severity,
      component: fleet.component,
      region,
      message,
      remedy,
      ...(override === undefined ? {} : { override }),
    });
  const [source, target] = await Promise.all([
    readSide(fleet, sideOf(fleet, from)),
    readSide(fleet, sideOf(fleet, to)),
  ]);
  const blocks = mode === 'planned' ? 'blocker' : 'info';
  unreadable(source, blocks, say);
  unreadable(target, 'blocker', say);
  roles(source, target, mode, say);
  instanceRules(source, target, mode, say);
  promotionRules(source, target, say);
  await serverRules(fleet, source, target, mode, say);
  await lagging(fleet, source, target, mode, say);
  const order = { blocker: 0, warning: 1, info: 2 };
  return findings.sort((a, b) => order[a.severity] - order[b.severity]);
}

/** RDS and the server are two things that may not answer, for two reasons each. */
function unreadable({ side, instance, status }: SideReading, blocks: Finding['severity'], say: Say): void {
  if (instance === null) noInstance(side, blocks, say);
  const failures = [instance, ...(instance === null ? [] : [status])];
  for (const failure of new Set(failures.filter((found) => found instanceof RampartError))) {
    const denied = failure.type === 'AccessDenied';
    const code = denied ? 'rds.accessDenied' : failure === instance ? 'rds.apiUnreachable' : 'rds.unreachable';
    say(blocks, code, side.region, failure.message, failure.remedy);
  }
}

function noInstance(side: SideReading['side'], blocks: Finding['severity'], say: Say): void {
  say(
    blocks,
    'rds.noInstance',
    side.region,
    `there is no DB instance ${side.instance} in ${side.awsRegion}`,
    'Check `instance` and `awsRegion` of both sides: are they swapped?',
  );
}

/** Who is the primary, by the servers and by RDS: each may be wrong about the topology in its own way. */
function roles(source: SideReading, target: SideReading, mode: string, say: Say): void {
  // An unplanned run may be what ends such a state: it fences first, and asks.
  const blocks = mode === 'planned' ? 'blocker' : 'warning';
  const from = known(source.status);
  const to = known(target.status);
  const a = known(source.instance);
  const b = known(target.instance);
  if (to !== null && !to.inRecovery) {
    const both = from !== null && !from.inRecovery;
    if (both) {
      say(
        blocks,
        'rds.bothPrimary',
        target.side.region,
        `${source.side.name} and ${target.side.name} both take writes`,
        'Find out which one clients write to, and fence the other; nothing may be promoted before.',
      );
    } else {
      say(
        blocks,
        'rds.targetIsPrimary',
        target.side.region,
        `${target.side.name} is the primary already`,
        'Ask for the other direction; or the regions are swapped in the topology.',
      );
    }
    return;
  }
  if (from?.inRecovery) {
    say(
      'blocker',
      'rds.sourceNotPrimary',
      source.side.region,
      `${source.side.name} is a replica${a?.source ? ` of ${a.source}` : ''}, not the primary`,
      'Ask for the other direction; or `instance` and `awsRegion` of the sides are swapped in the topology.',
    );
  }
  if (b !== null && b.source === null) {
    say(
      'blocker',
      'rds.targetNoReplica',
      target.side.region,
      `${b.id} in ${target.side.awsRegion} is no read replica, as RDS says (${b.status})`,
      '`rampart reprotect` makes a new one; or the regions are swapped in the topology.',
    );
  } else if (a !== null && b !== null && !isSource(b.source, a)) {
    say(
      'blocker',
      'rds.otherSource',
      target.side.region,
      `${b.id} replicates from ${b.source}, not from ${a.arn}`,
      'Check `instance` and `awsRegion` of both sides.',
    );
  }
  if (from !== null && to !== null && from.systemId !== to.systemId) {
    say(
      'blocker',
      'rds.systemIdentifier',
      target.side.region,
      `${source.side.name} (${from.systemId}) and ${target.side.name} (${to.systemId}) are different databases`,
      'Check `instance`, `host` and `awsRegion` of both sides.',
    );
  }
}

async function lagging(fleet: Fleet, source: SideReading, target: SideReading, mode: string, say: Say): Promise<void> {
  const status = known(target.status);
  if (status?.inRecovery !== true || target.server === null) return;
  const blocks = mode === 'planned' ? 'blocker' : 'warning';
  const { name, region } = target.side;
  if (status.receiver?.status !== 'streaming') {
    say(
      blocks,
      'rds.notStreaming',
      region,
      `${name} is not streaming`,
      'See its events and `read replication` in the console; RDS ends replication that is broken for 30 days.',
    );
  }
  if (status.applyDelayMs > 0) {
    say(
      blocks,
      'rds.replayDelayed',
      region,
      `replay on ${name} is delayed by ${status.applyDelayMs} ms on purpose`,
      'Set recovery_min_apply_delay to 0 in its parameter group.',
    );
  }
  if (source.server === null || known(source.status) === null) return;
  const lag = await lagBehind(fleet, target.server, source.server, status);
  if (lag.fresh && lag.bytes !== null) {
    say(
      'info',
      'rds.lag',
      region,
      `${name} is ${lag.bytes} bytes and ${lag.seconds ?? 'an unknown number of'} s behind`,
      'Nothing.',
    );
  }
}
