/** Grafana's alerting, version 1 of its webhook. */
import { type Message, type Parsed, textOf, urlOf } from '../message.ts';
import { type GroupDialect, labelsKey, parseGroup } from './alertmanager.ts';

const GRAFANA: GroupDialect = {
  // The same rule may exist in several organisations of one Grafana.
  key: (alert, labels, body) =>
    `${textOf(alert.orgId) ?? textOf(body.orgId) ?? '1'}/${textOf(alert.fingerprint) ?? labelsKey(labels)}`,
  url: (alert, body) => urlOf(alert.panelURL, alert.dashboardURL, alert.generatorURL, body.externalURL),
};

export function parseGrafana(message: Message): Parsed {
  return parseGroup(message, GRAFANA);
}
