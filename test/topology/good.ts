/** A topology that uses every field, for the fake drivers. */
export const GOOD = `version: 1
defaults:
  owner: team-shop
  tier: critical
  ramp: {bake: 30s, interval: 5s}
  approvals:
    cutover: {required: 1, timeout: 20m}
reports:
  s3: {bucket: rampart-evidence, prefix: prod/, region: eu-west-1, endpoint: 'https://s3.example.com', accessKeyId: '\${env:ID}', secretAccessKey: '\${env:KEY}'}
  key: '\${file:/run/secrets/report.pem}'
regions:
  eu-west: {labels: {cloud: aws}}
  eu-central:
  us-east:
tiers:
  critical:
    rto: 10m
    assertions: [{name: no row lost, expr: run.lost == 0}, {name: quick, expr: 'run.people < duration("1h")', severity: warn}]
  bulk: {rto: 8h, rpo: 2h, freezeBudget: 1m, fenceProof: lease}
components:
  orders-db:
    type: fakedb
    password: \${env:ORDERS_PASSWORD}
    maxLag: 16MiB
    stop: {timeout: 5s}
    sides:
      eu-west:
        nodes:
          - {name: db-a, place: rack-1, host: a.west, dataDirectory: /data}
          - {place: rack-2, host: b.west, dataDirectory: /data}
      eu-central: {host: central, dataDirectory: /data}
      us-east: {host: us, port: 6432}
  edge:
    type: fakeedge
    place: {region: eu-west}
    ttl: 10s
    sides: {eu-west: {address: w}, eu-central: {address: c}, us-east: {address: u}}
  app:
    type: fakeapp
    sides: {eu-west: {url: w}, eu-central: {url: c}, us-east: {url: u}}
  orders-healthy:
    type: fakecheck
    expect: {above: 0.5}
  identity-app:
    type: fakeapp
    sides: {eu-west: {url: w}, eu-central: {url: c}}
services:
  identity:
    tier: bulk
    home: eu-central
    standby: eu-west
    components: [identity-app]
    checks: [orders-healthy]
    writes: local
  checkout:
    owner: team-checkout
    home: eu-west
    standby: [eu-central, us-east]
    dependsOn: [identity]
    components: [orders-db, edge, app]
    checks: [orders-healthy]
    group: shop
    cutoverLag: {time: 2s, bytes: 1MiB}
    onFailure: {planned: hold}
    returningPrimary: notify
    objectives: {rto: 8m, freezeBudget: 20s}
    assertions:
      - {name: quick, expr: 'run.people < duration("10m")', actions: [failover]}
      - {name: secrets, expr: 'checks["orders-healthy"].passedAt - clocks.impactStart <= duration("30m")'}
    evidence: {environment: production, references: [BIA-7], assumptions: [weekday traffic], thirdParties: [DNS provider]}
    guard: {interval: 5s, proofAge: 720h}
    ramp: {steps: [50, 100], analysis: [orders-healthy], failureLimit: 1, onFailure: hold, unplanned: jump}
    approvals:
      cutover: {required: 2, approvers: [ana, ben], fourEyes: true, onTimeout: hold, escalateAfter: 5m, escalateTo: [eve]}
      rebuild: {approvers: [ana]}
    steps:
      - name: warm-cache
        stage: prepare
        summary: Warm the cache
        at: to
        kind: command
        command: [/bin/warm, --all]
        env: {TOKEN: "\${env:TOKEN}"}
        effect: reversible
        undo: {kind: http, http: {method: DELETE, url: "https://cache.example.com/warm"}}
        deadline: 2m
      - name: flip-flag
        stage: route
        summary: Flip the flag
        kind: http
        http: {url: "https://flags.example.com", headers: {Authorization: "\${file:/run/secrets/flags}"}, body: {on: true}, expectStatus: [200]}
        effect: irreversible
        deadline: 5s
        actions: [failover]
      - name: rebuild-index
        stage: settle
        summary: Rebuild the index
        kind: workflow
        workflow: {type: rebuildIndex, input: {full: true}}
        taskQueue: checkout-ops
        effect: none
        deadline: 1h
        onFailure: continue
alertSources:
  alertmanager: {type: alertmanager, auth: {bearer: "\${env:AM_TOKEN}"}}
  grafana:
    type: grafana
    auth: {hmac: {secret: ["\${env:GRAFANA_NEW}", "\${env:GRAFANA_OLD}"], timestampHeader: X-Grafana-Alerting-Timestamp}}
  duty: {type: pagerduty, auth: {hmac: {secret: "\${file:/run/secrets/duty}"}}}
  alarms: {type: sns, topics: ["arn:aws:sns:eu-west-1:123456789012:alarms"], insufficientData: firing}
  pingdom:
    type: generic
    auth: {path: "\${env:PINGDOM}"}
    map:
      status: 'body.current_state == "DOWN" ? "firing" : "resolved"'
      key: string(body.check_id)
      labels: {check: body.check_name}
  local: {type: cloudEvents, auth: none}
triggers:
  eu-west-down:
    service: checkout
    to: eu-central
    mode: execute
    runMode: planned
    when:
      - {source: alertmanager, labels: {alertname: RegionDown, region: /eu-.*/}}
      - {source: alarms}
    quorum: {atLeast: 2, within: 4m}
    times: {atLeast: 3, within: 2m}
    for: 3m
    cooldown: 6h
    maxPerDay: 2
    flapping: {changes: 4, within: 20m}
    correlate: 10m
    maintenance: [{cron: 0 2 * * 0, duration: 2h, timeZone: Europe/Berlin}]
  corrupt: {service: checkout, action: page, when: [{source: guard}]}
notifications:
  channels:
    incidents:
      type: slack
      token: "\${env:SLACK_TOKEN}"
      channel: C0123456789
      signingSecret: ["\${env:SLACK_NEW}", "\${env:SLACK_OLD}"]
      approvers: {U024BE7LH: ana@example.com}
      services: [checkout]
      drills: true
    duty:
      type: pagerduty
      routingKey: "\${file:/run/secrets/pd}"
      url: https://events.eu.pagerduty.com/
      events: [approval-required, run-held, run-failed]
      severity: warning
    mail:
      type: email
      host: smtp.example.com
      user: rampart
      password: "\${env:SMTP_PASSWORD}"
      from: rampart@example.com
      to: [ops@example.com, dev@example.com]
    hook: {type: webhook, url: https://hooks.example.com/r, secret: "\${env:HOOK}", allow: [10.1.0.0/16]}
  escalation: {after: [10m, 20m], channels: [duty]}
  checklist: ["Tell support that {service} moves to {to}"]
drills:
  quarterly:
    service: checkout
    to: eu-central
    cron: 0 10 1-7 1,4,7,10 2
    timeZone: Europe/Berlin
    dwell: 30m
    interval: 20s
    approvals: people
    blackout: [{cron: 0 0 20 12 *, duration: 384h}]
    blockWhen: {incident: false, lagAbove: 10s}
    abortWhen: {checksFailing: 2, errorRate: {above: 20, within: 2m}, lagAbove: 1m}
    overdueAfter: 2400h
    group: shop
    assertions: [{name: short, expr: run.writeUnavailable <= duration("30s"), severity: warn}]
  traffic: {service: checkout, kind: rampOnly, to: eu-central, cron: [0 4 * * 1, 0 5 * * 4], approvals: auto}
  monthly: {service: checkout, kind: rehearsal, to: eu-central, cron: 0 9 1 * *}
  weekly: {service: checkout, kind: checks, cron: 0 8 * * 1}
  broken:
    service: checkout
    kind: chaos
    to: eu-central
    cron: 0 8 1 1 *
    approvals: people
    chaos: {break: [/bin/break, eu-west], restore: [/bin/mend], detectWithin: 2m, recoverWithin: 10m}
`;
