/** Which alerts a trigger wants. Pure. */
import type { Alert, AlertMatch } from './alerts.ts';

/** Whether the alert comes from that source and has all these labels. */
export function matches({ source, labels }: AlertMatch, alert: Alert): boolean {
  if (source !== alert.source) return false;
  return Object.entries(labels).every(([label, wanted]) => {
    const value = Object.hasOwn(alert.labels, label) ? alert.labels[label]! : '';
    return wanted.length > 1 && wanted.startsWith('/') && wanted.endsWith('/')
      ? patternOf(wanted).test(value)
      : value === wanted;
  });
}

const patterns = new Map<string, RegExp>();

/** Over the whole label, as Alertmanager does it. The topology's check has compiled it before. */
function patternOf(wanted: string): RegExp {
  const known = patterns.get(wanted) ?? new RegExp(`^(?:${wanted.slice(1, -1)})$`, 's');
  patterns.set(wanted, known);
  return known;
}
