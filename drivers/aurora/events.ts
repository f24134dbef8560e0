/** Events of RDS: milestones for people, and how a switch ended. */
import type { RegionName } from '../../topology/model.ts';
import type { Millis } from '../ports.ts';
import { asFailure, rdsApi, readLimit } from './api.ts';
import type { Aurora, AuroraNode } from './config.ts';

export interface Milestone {
  at: Millis;
  region: RegionName;
  text: string;
}

/** How the events of a failed or cancelled switch are worded: DescribeEvents does not give their numbers (0186, 0187, 0239). */
const BAD = /\b(cancel|cancelled|canceled|failed|aborted|unsuccessful)\b/i;
const ABOUT = /global|switchover|failover/i;

/**
 * Events since a moment, oldest first, of every region that answers.
 * @param since milliseconds since the epoch
 */
export async function milestones(aurora: Aurora, nodes: readonly AuroraNode[], since: Millis): Promise<Milestone[]> {
  const found = await Promise.all(nodes.map((node) => eventsOf(aurora, node, since)));
  return found.flat().sort((a, b) => a.at - b.at);
}

async function eventsOf(aurora: Aurora, node: AuroraNode, since: Millis): Promise<Milestone[]> {
  try {
    const [api, { DescribeEventsCommand }] = await Promise.all([rdsApi(aurora, node), import('@aws-sdk/client-rds')]);
    const command = new DescribeEventsCommand({
      SourceType: 'db-cluster',
      SourceIdentifier: node.cluster,
      StartTime: new Date(since),
    });
    const { Events } = await api.call('DescribeEvents', (rds, o) => rds.send(command, o), readLimit(aurora));
    return (Events ?? []).flatMap(({ Date: at, Message }) =>
      at === undefined || Message === undefined ? [] : [{ at: at.getTime(), region: node.region, text: Message }],
    );
  } catch (error) {
    // Events are what people like to see; nothing is decided by their absence.
    aurora.context.log.debug('events could not be read', { why: asFailure(error).message });
    return [];
  }
}

/** The event that says that a switch was given up or failed; `undefined`: none says so. */
export function badEnd(found: readonly Milestone[]): Milestone | undefined {
  return found.findLast(({ text }) => BAD.test(text) && ABOUT.test(text));
}
