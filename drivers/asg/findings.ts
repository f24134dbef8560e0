/** What stands in the way of a group's change of size. Pure. */
import type { Activity, AutoScalingGroup, InstanceRefresh } from '@aws-sdk/client-auto-scaling';
import type { Finding } from '../ports.ts';

/** States of an instance refresh in which it replaces instances, or may begin to. */
const REFRESHING = new Set(['Pending', 'InProgress', 'Cancelling', 'RollbackInProgress', 'Baking']);

export function findingsOf(seen: {
  component: string;
  region: string;
  group: AutoScalingGroup;
  activities: Activity[];
  refreshes: InstanceRefresh[];
}): Finding[] {
  const { component, region, group, activities, refreshes } = seen;
  const found: Finding[] = [];
  const add = (code: string, severity: Finding['severity'], text: string, remedy: string) =>
    found.push({ code, severity, component, region, message: `${component} in ${region}: ${text}.`, remedy });

  if (group.Status !== undefined)
    add('groupNotActive', 'blocker', `the group is in "${group.Status}"`, 'It is being deleted: see by whom.');
  for (const text of suspensions(group))
    add('groupSuspended', 'warning', text, 'Ask who suspended it; resume it before the run needs it.');
  const refresh = refreshes.find(({ Status = '' }) => REFRESHING.has(Status));
  if (refresh !== undefined) {
    const text = `an instance refresh is ${refresh.Status} (${refresh.PercentageComplete ?? 0} %)`;
    add('groupRefreshing', 'warning', text, 'Wait for it or cancel it: it takes instances away meanwhile.');
  }
  const [newest] = activities;
  if (newest?.StatusCode === 'Failed') {
    const text = `the last scaling activity failed: ${activityText(newest)}`;
    add('groupLaunchFails', 'warning', text, 'Mend it (quota, capacity, launch template) before more are needed.');
  }
  const aside = (group.Instances ?? []).filter(({ LifecycleState }) => LifecycleState === 'Standby').length;
  if (aside > 0) {
    const text = `${aside} instances are in Standby: they count for no size, and do not end when it is drained`;
    add('groupStandby', 'warning', text, 'Return them to service or end them.');
  }
  return found;
}

/** Processes that a change of size needs and that somebody suspended. */
export function suspensions({ SuspendedProcesses = [] }: AutoScalingGroup): string[] {
  return SuspendedProcesses.filter(({ ProcessName }) => ProcessName === 'Launch' || ProcessName === 'Terminate').map(
    ({ ProcessName, SuspensionReason = 'no reason given' }) =>
      `the process ${ProcessName} is suspended (${SuspensionReason.trim()})`,
  );
}

export function activityText({ Description, StatusCode, StatusMessage }: Activity): string {
  return [Description, StatusCode, StatusMessage].filter(Boolean).join(' – ');
}
