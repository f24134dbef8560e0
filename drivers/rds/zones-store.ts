/** The store port over one Multi-AZ instance of RDS: its sides are two zones, and one call fails over. */
import { setMaxListeners } from 'node:events';
import type { Component } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { At, DriverContext, Finding, Receipt, Store } from '../ports.ts';
import { ensureProbeTable, probe } from '../sql/probe.ts';
import { tokenOf } from '../store-claims.ts';
import { claim, journal, readClaim } from './claim.ts';
import { type Fleet, openFleet, sideOf } from './config.ts';
import { ask, readSide } from './reading.ts';
import { observe, prove, sample, zonesOf } from './zones.ts';
import { revokePromote, switchover } from './zones-switch.ts';

/** Opens a component for one activity. Connects to nothing yet. */
export function openZones(component: Component, context: DriverContext): Store {
  const fleet = openFleet(component, context);
  // Every query and every call waits for the same signal.
  setMaxListeners(0, context.signal);
  const atomic = (what: string) => async (): Promise<never> => {
    throw new RampartError(
      'PreconditionFailed',
      `a Multi-AZ instance has no ${what} of its own: it fails over in one call`,
      {
        remedy: 'This is a mistake of Rampart: report it with the plan.',
      },
    );
  };
  const nothing = async (at: At): Promise<Receipt> => ({
    already: true,
    at: context.now(),
    summary: `${at.region}: RDS keeps the standby by itself, nothing is kept aside`,
    facts: {},
  });
  return {
    observe: (at) => observe(fleet, at),
    sample: (at) => sample(fleet, at),
    preflight: (_mode, from, to) => preflight(fleet, from, to),
    readClaim: (at) => readClaim(fleet, at),
    claim: (at, opened) => claim(fleet, at, opened),
    journal: (at, change) => journal(fleet, at, change),
    converge: (from) => converge(fleet, from),
    switchover: (from, to) => switchover(fleet, from, to),
    prove: (at) => prove(fleet, at),
    revokePromote: (to) => revokePromote(fleet, to),
    verifyWritable: (to) => verifyWritable(fleet, to),
    rejoin: (at) => rejoin(fleet, at),
    release: nothing,
    escape: async (from, to) => escapeZones(fleet, from, to),
    fence: atomic('fence'),
    unfence: atomic('fence'),
    awaitCatchUp: atomic('catch-up'),
    promote: atomic('promotion'),
    rebuild: atomic('rebuild'),
  };
}

async function converge(fleet: Fleet, from: string): Promise<Receipt> {
  const { server, side } = await ask(fleet, sideOf(fleet, from));
  await ensureProbeTable(fleet, server);
  const summary = `${side.instance}: the standby replicates synchronously, there is nothing to wait for`;
  return { already: true, at: fleet.context.now(), summary, facts: {} };
}

async function verifyWritable(fleet: Fleet, to: At): Promise<Receipt> {
  tokenOf(fleet.context);
  const side = sideOf(fleet, to.region);
  const reading = await ask(fleet, side);
  const { primary, number } = zonesOf(reading);
  if (primary !== side.zone) {
    throw new RampartError(
      'PreconditionFailed',
      `the primary of ${side.instance} is in ${primary}, not in ${side.zone}`,
      {
        remedy: 'Fail over first; RDS may also have done so by itself: observe.',
      },
    );
  }
  const ms = Math.round(await probe(fleet, reading.server));
  const summary = `${side.instance} took a write in ${ms} ms, its primary is in ${primary}`;
  return { already: false, at: fleet.context.now(), summary, facts: { probeMs: ms, timeline: number } };
}

/** RDS makes the old primary the standby, by itself. @throws NotApplied while it has not */
async function rejoin(fleet: Fleet, at: At): Promise<Receipt> {
  tokenOf(fleet.context);
  const side = sideOf(fleet, at.region);
  const { standby, instance } = zonesOf(await readSide(fleet, side));
  if (standby !== side.zone || !instance.multiAz) {
    throw new RampartError(
      'NotApplied',
      `the standby of ${instance.id} is ${standby === null ? 'nowhere' : `in ${standby}`}, not in ${side.zone}`,
      {
        remedy:
          'RDS makes it by itself, which takes minutes; if a zone is lost, in another one: then correct the topology.',
      },
    );
  }
  return {
    already: true,
    at: fleet.context.now(),
    summary: `${side.zone} holds the standby of ${instance.id}`,
    facts: {},
  };
}

async function preflight(fleet: Fleet, from: string, to: string): Promise<Finding[]> {
  const [old, side] = [sideOf(fleet, from), sideOf(fleet, to)];
  const findings: Finding[] = [];
  const say = (severity: Finding['severity'], code: string, region: string, message: string, remedy: string): void =>
    void findings.push({ code, severity, component: fleet.component, region, message, remedy });
  const reading = await readSide(fleet, side);
  for (const failure of new Set([reading.instance, reading.status])) {
    if (!(failure instanceof RampartError)) continue;
    const denied = failure.type === 'AccessDenied';
    say('blocker', denied ? 'rds.accessDenied' : 'rds.unreachable', to, failure.message, failure.remedy);
  }
  if (reading.instance === null || reading.instance instanceof RampartError) return findings;
  const { instance, primary, standby } = zonesOf(reading);
  if (instance.engine !== 'postgres' || instance.raw.DBClusterIdentifier) {
    const message = `${instance.id} is ${instance.raw.DBClusterIdentifier ? 'part of a cluster' : instance.engine}: this driver fails over instances of PostgreSQL only`;
    say('blocker', 'rds.engine', to, message, 'For Aurora use the type aurora; leave others out of the service.');
  }
  if (primary === side.zone) {
    say(
      'blocker',
      'rds.targetIsPrimary',
      to,
      `the primary of ${instance.id} is in ${primary} already`,
      'Ask for the other direction; or the zones are swapped in the topology.',
    );
  } else if (primary !== old.zone) {
    say(
      'blocker',
      'rds.zone',
      from,
      `the primary of ${instance.id} is in ${primary}, not in ${old.zone}`,
      'Correct the zones in the topology.',
    );
  }
  if (!instance.multiAz || (standby !== side.zone && primary !== side.zone)) {
    const where = standby === null ? 'there is no standby' : `the standby is in ${standby}`;
    say(
      'blocker',
      'rds.noStandby',
      to,
      `${instance.id}: ${where}, not in ${side.zone}`,
      'Make the instance Multi-AZ, or correct the zones in the topology.',
    );
  }
  if (instance.status !== 'available') {
    say('blocker', 'rds.busy', from, `${instance.id} is ${instance.status}`, 'Wait until it is available.');
  }
  say(
    'info',
    'rds.oneRegion',
    from,
    `${instance.id} lives in ${side.awsRegion} alone: this protects against a lost zone, not a lost region`,
    'Keep a read replica in another region, with the type rds.',
  );
  const order = { blocker: 0, warning: 1, info: 2 };
  return findings.sort((a, b) => order[a.severity] - order[b.severity]);
}

function escapeZones(fleet: Fleet, from: string, to: string) {
  const [old, side] = [sideOf(fleet, from), sideOf(fleet, to)];
  const aws = `aws rds --region ${side.awsRegion}${side.endpoint === undefined ? '' : ` --endpoint-url ${side.endpoint}`}`;
  const query = "--query 'DBInstances[0].[DBInstanceStatus,AvailabilityZone,SecondaryAvailabilityZone]' --output text";
  const look = `${aws} describe-db-instances --db-instance-identifier ${side.instance} ${query}`;
  return {
    now: [
      '# Status, zone of the primary, zone of the standby:',
      look,
      `# Only if it shows available, ${old.zone}, ${side.zone}: a second failover leads back.`,
      `#   ${aws} reboot-db-instance --db-instance-identifier ${side.instance} --force-failover`,
      `# Repeat until it shows available and ${side.zone} first; clients must connect anew.`,
      look,
    ],
    later: ['# RDS makes the standby by itself. See that a second zone is shown:', look],
  };
}
