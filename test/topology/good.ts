/** A topology that uses every field, for the fake drivers. */
export const GOOD = `version: 1
defaults:
  owner: team-shop
  tier: critical
  ramp: {bake: 30s, interval: 5s}
  approvals:
    cutover: {required: 1, timeout: 20m}
regions:
  eu-west: {labels: {cloud: aws}}
  eu-central:
  us-east:
tiers:
  critical: {rto: 10m}
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
`;
