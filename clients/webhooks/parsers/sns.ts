/** CloudWatch alarms as Amazon SNS carries them: JSON in the text of a message; also as EventBridge tells of them. */
import type { AlertStatus } from '../../../topology/alerts.ts';
import {
  alertOf,
  field,
  isFields,
  labelsOf,
  type Message,
  type Parsed,
  textOf,
  timeOf,
  unreadable,
} from '../message.ts';

/** `message.body` is SNS's own envelope, verified. */
export function parseSns(message: Message): Parsed {
  const { body, source } = message;
  const delivery = textOf(field(body, 'MessageId'));
  let alarm: unknown;
  try {
    alarm = JSON.parse(textOf(field(body, 'Message')) ?? '');
  } catch {
    return unreadable('the text of the SNS message is no JSON, and so no CloudWatch alarm');
  }
  const read = isFields(alarm) ? (ofCloudWatch(alarm) ?? ofEventBridge(alarm)) : null;
  if (read === null) return unreadable('the SNS message is no CloudWatch alarm: it has no AlarmName and NewStateValue');
  const { name, state, since, arn, reason, labels } = read;
  const [, , , region, account] = (arn ?? '').split(':');
  return {
    alerts: [
      alertOf(message, {
        key: arn ?? name,
        delivery,
        status: statusOfAlarm(state, source.insufficientData ?? 'unknown'),
        startsAt: state === 'OK' ? null : timeOf(since),
        labels: labelsOf({ ...labels, alarmName: name, region, accountId: account }),
        annotations: labelsOf({ state, reason, topic: field(body, 'TopicArn'), subject: field(body, 'Subject') }),
      }),
    ],
    problem: null,
  };
}

function statusOfAlarm(state: string, insufficientData: AlertStatus): AlertStatus {
  if (state === 'ALARM') return 'firing';
  if (state === 'OK') return 'resolved';
  return state === 'INSUFFICIENT_DATA' ? insufficientData : 'unknown';
}

interface Alarm {
  name: string;
  state: string;
  since: unknown;
  arn: string | null;
  reason: unknown;
  labels: Record<string, unknown>;
}

function ofCloudWatch(alarm: Record<string, unknown>): Alarm | null {
  const [name, state] = [textOf(alarm.AlarmName), textOf(alarm.NewStateValue)];
  if (name === null || state === null) return null;
  const trigger = field(alarm, 'Trigger');
  const dimensions = field(trigger, 'Dimensions');
  const labels = Object.fromEntries(
    (Array.isArray(dimensions) ? dimensions : []).map((one) => [
      firstName(field(one, 'name'), field(one, 'Name')),
      field(one, 'value') ?? field(one, 'Value'),
    ]),
  );
  return {
    ...{ name, state, since: alarm.StateChangeTime, arn: textOf(alarm.AlarmArn), reason: alarm.NewStateReason },
    labels: { ...labels, namespace: field(trigger, 'Namespace'), metricName: field(trigger, 'MetricName') },
  };
}

const firstName = (...names: unknown[]): string => names.map(textOf).find((name) => name !== null) ?? '';

/** `CloudWatch Alarm State Change`, when a rule of EventBridge sends to the topic. */
function ofEventBridge(event: Record<string, unknown>): Alarm | null {
  const detail = field(event, 'detail');
  const [name, state] = [textOf(field(detail, 'alarmName')), textOf(field(detail, 'state', 'value'))];
  if (name === null || state === null) return null;
  const resources = field(event, 'resources');
  return {
    ...{ name, state, since: field(detail, 'state', 'timestamp'), reason: field(detail, 'state', 'reason') },
    arn: Array.isArray(resources) ? textOf(resources[0]) : null,
    labels: {},
  };
}
