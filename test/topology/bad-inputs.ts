/** Mistakes, each as one change of a valid file, and the exact lines they must give. */

export const BASE = `version: 1
regions:
  eu-west:
  eu-central:
  us-east: {}
components:
  orders-db:
    type: fakedb
    password: \${env:DB}
    sides:
      eu-west: {host: west}
      eu-central: {host: central}
  edge:
    type: fakeedge
    ttl: 10s
    sides: {eu-west: {address: w}, eu-central: {address: c}}
  ready:
    type: fakecheck
services:
  checkout:
    owner: team-checkout
    tier: important
    home: eu-west
    standby: eu-central
    components: [orders-db, edge]
    checks: [ready]
    ramp: {steps: [10, 50, 100], bake: 1m}
    steps:
      - name: warm
        stage: prepare
        summary: Warm it
        kind: command
        command: [/bin/warm]
        effect: none
        deadline: 1m
`;

export interface BadInput {
  name: string;
  /** Replaces the first occurrence in the base … */
  change?: [find: string, replace: string];
  /** … or a text of its own. */
  text?: string;
  problems: string[];
}

export const BAD: BadInput[] = [
  {
    name: 'empty file',
    text: '',
    problems: ['1:1: error: the file is empty; `rampart init` writes a first topology [empty_file]'],
  },
  {
    name: 'only a comment',
    text: '# nothing yet\n',
    problems: ['1:1: error: the file is empty; `rampart init` writes a first topology [empty_file]'],
  },
  {
    name: 'a list instead of a map',
    text: '- a\n',
    problems: ['1:1: error: expected a map with version, regions, components and services [invalid_type]'],
  },
  {
    name: 'tab as indentation',
    change: ['  eu-west:\n', '\teu-west:\n'],
    problems: ['3:1: error: YAML: Tabs are not allowed as indentation [tab_as_indent]'],
  },
  {
    name: 'unclosed list',
    change: ['[10, 50, 100]', '[10, 50, 100'],
    problems: [
      '27:41: error: YAML: Flow sequence in block collection must be sufficiently indented and end with a ] [bad_indent]',
      '28:5: error: YAML: Flow map in block collection must be sufficiently indented and end with a } [bad_indent]',
    ],
  },
  {
    name: 'repeated key',
    change: ['    tier: important\n', '    tier: important\n    tier: critical\n'],
    problems: ['23:5: error: the key "tier" stands twice in this map [duplicate_key]'],
  },
  {
    name: 'two documents',
    text: 'version: 1\n---\nversion: 1\n',
    problems: ['2:1: error: YAML: the file holds several documents (---); a topology is one [multiple_docs]'],
  },
  {
    name: 'unknown tag',
    change: ['ttl: 10s', 'ttl: !!duration 10s'],
    problems: ['15:10: error: YAML: Unresolved tag: tag:yaml.org,2002:duration [tag_resolve_failed]'],
  },
  {
    name: 'alias without anchor',
    change: ['owner: team-checkout', 'owner: *nobody'],
    problems: ['21:12: error: no anchor named "nobody" stands before this alias [unknown_alias]'],
  },
  {
    name: 'alias inside its own anchor',
    change: ['components: [orders-db, edge]', 'components: &all [orders-db, *all]'],
    problems: ['25:34: error: the alias "*all" stands inside its own anchor [cyclic_alias]'],
  },
  {
    name: 'version of tomorrow',
    change: ['version: 1', 'version: 2'],
    problems: ['1:10: error: version: this Rampart reads version 1, got 2 [unknown_version]'],
  },
  {
    name: 'version missing',
    change: ['version: 1\n', ''],
    problems: ['1:1: error: version: is required: write `version: 1` [required]'],
  },
  {
    name: 'misspelt section',
    change: ['components:\n  orders-db', 'component:\n  orders-db'],
    problems: ['6:1: error: component: unknown key "component"; did you mean "components"? [unknown_key]'],
  },
  {
    name: 'one region',
    change: ['  eu-central:\n  us-east: {}\n', ''],
    problems: [
      '2:1: error: regions: a topology needs at least two regions: there is nowhere to move to [too_few_regions]',
      '10:7: error: components.orders-db.sides.eu-central: there is no region "eu-central"; known: eu-west [unknown_region]',
      '14:36: error: components.edge.sides.eu-central: there is no region "eu-central"; known: eu-west [unknown_region]',
      '22:14: error: services.checkout.standby: there is no region "eu-central"; known: eu-west [unknown_region]',
    ],
  },
  {
    name: 'region name in capitals',
    change: ['us-east: {}', 'US-East: {}'],
    problems: [
      '5:3: error: regions.US-East: "US-East": a name is made of lower-case letters, digits and dashes, begins and ends with a letter or digit, and has at most 63 characters [invalid_name]',
    ],
  },
  {
    name: "region named like an object's method",
    change: ['us-east: {}', 'constructor: {}'],
    problems: [
      '5:3: error: regions.constructor: "constructor": a name is made of lower-case letters, digits and dashes, begins and ends with a letter or digit, and has at most 63 characters [invalid_name]',
    ],
  },
  {
    name: 'label that is no text',
    change: ['us-east: {}', 'us-east: {labels: {zone: 1}}'],
    problems: ['5:28: error: regions.us-east.labels.zone: expected a text, got the number 1 [invalid_type]'],
  },
  {
    name: 'misspelt key of a service',
    change: ['    home: eu-west', '    hoem: eu-west'],
    problems: ['23:5: error: services.checkout.hoem: unknown key "hoem"; did you mean "home"? [unknown_key]'],
  },
  {
    name: 'unknown key of a service',
    change: ['    home: eu-west', '    home: eu-west\n    replicas: 3'],
    problems: ['24:5: error: services.checkout.replicas: unknown key "replicas" [unknown_key]'],
  },
  {
    name: 'owner missing',
    change: ['    owner: team-checkout\n', ''],
    problems: ['20:3: error: services.checkout.owner: is required: the team that owns the service [required]'],
  },
  {
    name: 'unknown tier',
    change: ['tier: important', 'tier: importnat'],
    problems: [
      '22:11: error: services.checkout.tier: there is no tier "importnat"; did you mean "important"? [unknown_tier]',
    ],
  },
  {
    name: 'new tier without objectives',
    change: ['services:', 'tiers: {gold: {rto: 5m}}\nservices:'],
    problems: ['19:9: error: tiers.gold.rpo: is required [required]'],
  },
  {
    name: 'service that asks of itself what its ramp cannot do',
    change: ['    tier: important', '    tier: important\n    objectives: {rto: 2m}'],
    problems: [
      '28:40: error: services.checkout.ramp.bake: checkout cannot meet the RTO of 2m (its own): its plan alone waits 3 × 1m bake + 10s TTL = 3m10s; shorten the bake or say unplanned: jump [rto_unreachable]',
    ],
  },
  {
    name: 'assertion about a name that there is not',
    change: [
      '    tier: important',
      "    tier: important\n    assertions: [{name: no row lost, expr: 'run.lots == 0'}]",
    ],
    problems: [
      '23:44: error: services.checkout.assertions.0.expr: there is no "lots"; docs/evidence.md lists what there is [invalid_expression]',
    ],
  },
  {
    name: 'assertion that stands twice in a tier',
    change: [
      'services:',
      "tiers:\n  important:\n    assertions:\n      - {name: a, expr: 'run.lost == 0'}\n      - {name: a, expr: 'run.promoted'}\nservices:",
    ],
    problems: ['23:16: error: tiers.important.assertions.1.name: "a" stands twice in this list [duplicate]'],
  },
  {
    name: 'reports in two stores at once',
    change: ['services:', 'reports: {folder: /var/reports, s3: {bucket: reports}}\nservices:'],
    problems: ['19:1: error: reports: name exactly one of folder, s3 [report_stores]'],
  },
  {
    name: 'reports in a folder that depends on where a worker was started',
    change: ['services:', 'reports: {folder: reports}\nservices:'],
    problems: [
      '19:19: error: reports.folder: expected an absolute path: every control worker files there [invalid_format]',
    ],
  },
  {
    name: 'reports signed with a key that stands in the file',
    change: ['services:', 'reports: {folder: /var/reports, key: MC4CAQAwBQYDK2Vw}\nservices:'],
    problems: [
      '19:38: error: reports.key: a secret must not be written here: use ${env:NAME} or ${file:/path}, which workers resolve when they need it [secret_literal]',
    ],
  },
  {
    name: 'duration without unit',
    change: ['bake: 1m', 'bake: 60'],
    problems: [
      '27:40: error: services.checkout.ramp.bake: expected a duration such as 500ms, 30s, 5m or 1h30m, got the number 60: add a unit [invalid_type]',
    ],
  },
  {
    name: 'duration in words',
    change: ['bake: 1m', 'bake: 1 minute'],
    problems: [
      '27:40: error: services.checkout.ramp.bake: expected a duration such as 500ms, 30s, 5m or 1h30m, got "1 minute" [invalid_duration]',
    ],
  },
  {
    name: 'unknown region as home',
    change: ['home: eu-west', 'home: eu-wset'],
    problems: [
      '23:11: error: services.checkout.home: there is no region "eu-wset"; did you mean "eu-west"? [unknown_region]',
    ],
  },
  {
    name: 'unknown region in a list of standbys',
    change: ['standby: eu-central', 'standby: [eu-central, eu-nowhere]'],
    problems: [
      '24:27: error: services.checkout.standby.1: there is no region "eu-nowhere"; known: eu-west, eu-central, us-east [unknown_region]',
    ],
  },
  {
    name: 'home as its own standby',
    change: ['standby: eu-central', 'standby: [eu-central, eu-west]'],
    problems: [
      '24:27: error: services.checkout.standby.1: "eu-west" is the home of checkout and cannot be its standby as well [home_in_standby]',
    ],
  },
  {
    name: 'standby without a side',
    change: ['standby: eu-central', 'standby: [eu-central, us-east]'],
    problems: [
      '10:5: error: components.orders-db.sides: orders-db has no side for us-east, where checkout lives or can move to [missing_side]',
      '16:5: error: components.edge.sides: edge has no side for us-east, where checkout lives or can move to [missing_side]',
    ],
  },
  {
    name: 'unknown component',
    change: ['[orders-db, edge]', '[orders-bd, edge]'],
    problems: [
      '25:18: error: services.checkout.components.0: there is no component "orders-bd"; did you mean "orders-db"? [unknown_component]',
    ],
  },
  {
    name: 'component named twice',
    change: ['[orders-db, edge]', '[orders-db, edge, edge]'],
    problems: ['25:35: error: services.checkout.components.2: "edge" stands twice in this list [duplicate]'],
  },
  {
    name: 'no component',
    change: ['components: [orders-db, edge]', 'components: []'],
    problems: ['25:5: error: services.checkout.components: must have at least 1 entry [too_small]'],
  },
  {
    name: 'a check among the components',
    change: ['[orders-db, edge]', '[orders-db, edge, ready]'],
    problems: [
      '25:35: error: services.checkout.components.2: ready is a check (fakecheck): name it under checks [wrong_role]',
    ],
  },
  {
    name: 'a store among the checks',
    change: ['checks: [ready]', 'checks: [ready, orders-db]'],
    problems: [
      '26:21: error: services.checkout.checks.1: orders-db is a store (fakedb): name it under components [wrong_role]',
    ],
  },
  {
    name: 'no checks',
    change: ['    checks: [ready]\n', ''],
    problems: [
      '17:3: warning: components.ready: no service names ready [unused_component]',
      '20:3: warning: services.checkout: checkout names no checks: nothing will tell a good move from a bad one [no_checks]',
    ],
  },
  {
    name: 'a router in the analysis',
    change: ['bake: 1m}', 'bake: 1m, analysis: [edge]}'],
    problems: [
      '27:55: error: services.checkout.ramp.analysis.0: edge is a router (fakeedge): only checks can be analysed, not a router [wrong_role]',
    ],
  },
  {
    name: 'unknown service',
    change: ['    checks: [ready]', '    checks: [ready]\n    dependsOn: [identity]'],
    problems: [
      '27:17: error: services.checkout.dependsOn.0: there is no service "identity"; known: checkout [unknown_service]',
    ],
  },
  {
    name: 'a service that waits for itself',
    change: ['    checks: [ready]', '    checks: [ready]\n    dependsOn: [checkout]'],
    problems: ['27:17: error: services.checkout.dependsOn.0: checkout cannot depend on itself [dependency_cycle]'],
  },
  {
    name: 'a cycle of services',
    change: [
      'services:\n',
      '  shared: {type: fakeapp, sides: {eu-west: {url: w}, eu-central: {url: c}}}\nservices:\n  a: {owner: x, home: eu-west, standby: eu-central, components: [shared], checks: [ready], dependsOn: [b], group: g}\n  b: {owner: x, home: eu-west, standby: eu-central, components: [shared], checks: [ready], dependsOn: [a], group: g}\n',
    ],
    problems: [
      '22:104: error: services.b.dependsOn.0: these services wait for each other: a -> b -> a [dependency_cycle]',
    ],
  },
  {
    name: 'a component of two services',
    change: [
      'services:\n',
      'services:\n  copy: {owner: x, home: eu-west, standby: eu-central, components: [orders-db], checks: [ready]}\n',
    ],
    problems: [
      '26:18: error: services.checkout.components.0: orders-db belongs to copy as well: two runs could move it at once; give both services the same group, or each its own component [shared_component]',
    ],
  },
  {
    name: 'a group with two homes',
    change: [
      'services:\n  checkout:\n',
      'services:\n  copy: {group: g, owner: x, home: eu-central, standby: eu-west, components: [orders-db], checks: [ready]}\n  checkout:\n    group: g\n',
    ],
    problems: [
      '22:12: error: services.checkout.group: services of a group move together: checkout has home eu-west, standby eu-central, but copy has home eu-central, standby eu-west [group_mismatch]',
    ],
  },
  {
    name: 'a group with two tiers',
    change: [
      'services:\n  checkout:\n',
      'services:\n  copy: {group: g, tier: critical, owner: x, home: eu-west, standby: eu-central, components: [orders-db], checks: [ready]}\n  checkout:\n    group: g\n',
    ],
    problems: [
      '22:12: error: services.checkout.group: services of a group move together: checkout has tier important, but copy has tier critical [group_mismatch]',
    ],
  },
  {
    name: 'a group with one step twice',
    change: [
      'services:\n  checkout:\n',
      'services:\n  copy: {group: g, tier: important, owner: x, home: eu-west, standby: eu-central, components: [orders-db], checks: [ready], steps: [{name: warm, stage: prepare, summary: Warm it, kind: command, command: [/bin/warm], effect: none, deadline: 1m}]}\n  checkout:\n    group: g\n',
    ],
    problems: [
      '31:15: error: services.checkout.steps.0.name: services of a group move together: copy has a step warm as well; give one of them another name [group_mismatch]',
    ],
  },
  {
    name: 'ramp that falls',
    change: ['[10, 50, 100]', '[10, 50, 25, 100]'],
    problems: ['27:28: error: services.checkout.ramp.steps.2: the ramp must rise: 25 follows 50 [ramp_not_rising]'],
  },
  {
    name: 'ramp that stops early',
    change: ['[10, 50, 100]', '[10, 50]'],
    problems: [
      '27:24: error: services.checkout.ramp.steps.1: the ramp must end at 100, it ends at 50 [ramp_not_complete]',
    ],
  },
  {
    name: 'ramp above 100',
    change: ['[10, 50, 100]', '[10, 150]'],
    problems: ['27:24: error: services.checkout.ramp.steps.1: must be at most 100, got 150 [too_big]'],
  },
  {
    name: 'percent with a sign',
    change: ['[10, 50, 100]', '[10%, 100]'],
    problems: [
      '27:20: error: services.checkout.ramp.steps.0: percent are whole numbers without a sign, for example 25 [invalid_type]',
    ],
  },
  {
    name: 'percent with a fraction',
    change: ['[10, 50, 100]', '[12.5, 100]'],
    problems: [
      '27:20: error: services.checkout.ramp.steps.0: expected a whole number, got the number 12.5 [invalid_type]',
    ],
  },
  {
    name: 'bake shorter than the TTL',
    change: ['ttl: 10s', 'ttl: 2m'],
    problems: [
      '27:40: error: services.checkout.ramp.bake: a bake of 1m is over before clients of edge leave the old weights (TTL 2m): each check would measure the step before; for checkout bake at least 2m [bake_below_ttl]',
    ],
  },
  {
    name: 'RTO that the bakes exceed',
    change: ['bake: 1m', 'bake: 15m'],
    problems: [
      '27:40: error: services.checkout.ramp.bake: checkout cannot meet the RTO of 30m (tier important): its plan alone waits 3 × 15m bake + 10s TTL = 45m10s; shorten the bake or say unplanned: jump [rto_unreachable]',
    ],
  },
  {
    name: 'RTO that only a planned ramp exceeds',
    change: ['bake: 1m', 'bake: 15m, unplanned: jump'],
    problems: [
      '27:40: warning: services.checkout.ramp.bake: a planned move of checkout waits 3 × 15m bake + 10s TTL = 45m10s, longer than the RTO of 30m (tier important); an unplanned one jumps and meets it [rto_planned]',
    ],
  },
  {
    name: 'interval above the bake',
    change: ['bake: 1m', 'bake: 30s, interval: 40s'],
    problems: [
      '27:55: warning: services.checkout.ramp.interval: the interval of 40s is longer than the bake of 30s: checkout is checked only once per step [interval_above_bake]',
    ],
  },
  {
    name: 'bad word',
    change: ['bake: 1m', 'bake: 1m, onFailure: rollbak'],
    problems: [
      '27:55: error: services.checkout.ramp.onFailure: expected one of "rollback", "hold", got "rollbak"; did you mean "rollback"? [invalid_value]',
    ],
  },
  {
    name: 'fence proof out of reach',
    change: ['services:', 'tiers: {important: {fenceProof: stopped}}\nservices:'],
    problems: [
      '23:11: error: services.checkout.tier: tier important asks for the fence proof "stopped", which orders-db cannot deliver (it has sessions, lease): every promotion of checkout would wait for a person [fence_unreachable]',
    ],
  },
  {
    name: 'unknown type',
    change: ['type: fakeedge', 'type: fakeegde'],
    problems: ['14:11: error: components.edge.type: unknown type "fakeegde"; did you mean "fakeedge"? [unknown_type]'],
  },
  {
    name: 'type missing',
    change: ['    type: fakeedge\n', ''],
    problems: [
      '13:3: error: components.edge.type: is required: one of fakeapp, fakecheck, fakedb, fakeedge [required]',
    ],
  },
  {
    name: 'type misspelt',
    change: ['    type: fakeedge\n', '    typ: fakeedge\n'],
    problems: ['14:5: error: components.edge.typ: unknown key "typ"; did you mean "type"? [unknown_key]'],
  },
  {
    name: 'unknown key of a driver',
    change: ['ttl: 10s', 'tll: 10s'],
    problems: ['15:5: error: components.edge.tll: unknown key "tll"; did you mean "ttl"? [unknown_key]'],
  },
  {
    name: 'size without unit',
    change: ['password: ${env:DB}', 'password: ${env:DB}\n    maxLag: 16'],
    problems: [
      '10:13: error: components.orders-db.maxLag: expected a size such as 512B, 64KiB or 16MiB, got the number 16: add a unit [invalid_type]',
    ],
  },
  {
    name: 'size with an unknown unit',
    change: ['password: ${env:DB}', 'password: ${env:DB}\n    maxLag: 16mb'],
    problems: [
      '10:13: error: components.orders-db.maxLag: expected a size such as 512B, 64KiB or 16MiB, got "16mb" [invalid_size]',
    ],
  },
  {
    name: 'literal secret',
    change: ['${env:DB}', 's3cret'],
    problems: [
      '9:15: error: components.orders-db.password: a secret must not be written here: use ${env:NAME} or ${file:/path}, which workers resolve when they need it [secret_literal]',
    ],
  },
  {
    name: 'secret inside a text',
    change: ['${env:DB}', 'pre${env:DB}'],
    problems: [
      '9:15: error: components.orders-db.password: a secret reference must be the whole value: put the complete text into the variable or file and write ${env:NAME} or ${file:/path} alone [secret_partial]',
    ],
  },
  {
    name: 'secret in an open field',
    change: ['{host: west}', '{host: "${env:HOST}"}'],
    problems: [
      '11:23: error: components.orders-db.sides.eu-west.host: a secret reference is resolved only in secret fields; those of fakedb are password, url [secret_misplaced]',
    ],
  },
  {
    name: 'secret in a service',
    change: ['owner: team-checkout', 'owner: ${env:OWNER}'],
    problems: [
      '21:12: error: services.checkout.owner: a secret reference is resolved only in secret fields of components and in url, headers and env of own steps [secret_misplaced]',
    ],
  },
  {
    name: 'store with one side',
    change: ['      eu-central: {host: central}\n', ''],
    problems: [
      '10:5: error: components.orders-db.sides: a store needs a side in at least two regions, orders-db has only eu-west [too_few_sides]',
    ],
  },
  {
    name: 'side in an unknown region',
    change: ['      eu-central: {host: central}\n', '      eu-centrall: {host: central}\n'],
    problems: [
      '12:7: error: components.orders-db.sides.eu-centrall: there is no region "eu-centrall"; did you mean "eu-central"? [unknown_region]',
    ],
  },
  {
    name: "driver's own complaint",
    change: ['{host: west}', '{host: nowhere}'],
    problems: ['11:23: error: components.orders-db.sides.eu-west.host: nowhere is no host [bad_host]'],
  },
  {
    name: 'node without its required field',
    change: ['{host: west}', '{port: 1}'],
    problems: ['11:7: error: components.orders-db.sides.eu-west.host: is required [required]'],
  },
  {
    name: 'port out of range',
    change: ['{host: west}', '{host: west, port: 99999}'],
    problems: ['11:35: error: components.orders-db.sides.eu-west.port: must be at most 65535, got 99999 [too_big]'],
  },
  {
    name: 'local nodes without a place',
    change: ['{host: west}', '{nodes: [{host: a, dataDirectory: /a, place: a}, {host: b, dataDirectory: /b}]}'],
    problems: [
      '11:65: error: components.orders-db.sides.eu-west.nodes.1: this node needs a worker beside it and its side has 2 nodes: give each its place (rampart worker --region eu-west --place …) [place_missing]',
    ],
  },
  {
    name: 'two nodes of one name',
    change: ['{host: west}', '{nodes: [{name: x, host: a}, {name: x, host: b}]}'],
    problems: [
      '11:52: error: components.orders-db.sides.eu-west.nodes.1.name: another node of orders-db is named "x" (in eu-west) [duplicate]',
    ],
  },
  {
    name: 'no nodes',
    change: ['{host: west}', '{nodes: []}'],
    problems: [
      '11:17: error: components.orders-db.sides.eu-west.nodes: expected a list of at least one node [invalid_type]',
    ],
  },
  {
    name: 'node and nodes mixed',
    change: ['{host: west}', '{host: west, nodes: [{host: a}]}'],
    problems: [
      '11:17: error: components.orders-db.sides.eu-west.host: unknown key "host": a side is either one node or only a list of nodes [unknown_key]',
    ],
  },
  {
    name: 'component placed nowhere',
    change: ['ttl: 10s', 'ttl: 10s\n    place: {region: mars}'],
    problems: [
      '16:21: error: components.edge.place.region: there is no region "mars"; known: eu-west, eu-central, us-east [unknown_region]',
    ],
  },
  {
    name: 'unused component',
    change: ['services:', '  spare: {type: fakecheck}\nservices:'],
    problems: ['19:3: warning: components.spare: no service names spare [unused_component]'],
  },
  {
    name: 'too few approvers',
    change: ['    checks: [ready]', '    checks: [ready]\n    approvals: {cutover: {required: 2, approvers: [ana]}}'],
    problems: [
      '27:40: error: services.checkout.approvals.cutover.approvers: cutover of checkout needs 2 people and names only 1 [too_few_approvers]',
    ],
  },
  {
    name: 'four eyes with one approver',
    change: [
      '    checks: [ready]',
      '    checks: [ready]\n    approvals: {cutover: {approvers: [ana], fourEyes: true}}',
    ],
    problems: [
      "27:55: error: services.checkout.approvals.cutover.fourEyes: cutover of checkout asks for four eyes and names one approver: nobody could approve that person's request [four_eyes_alone]",
    ],
  },
  {
    name: 'a rebuild that needs nobody',
    change: ['    checks: [ready]', '    checks: [ready]\n    approvals: {rebuild: {required: 0}}'],
    problems: ['27:37: error: services.checkout.approvals.rebuild.required: must be at least 1, got 0 [too_small]'],
  },
  {
    name: 'escalation after the end',
    change: [
      '    checks: [ready]',
      '    checks: [ready]\n    approvals: {cutover: {approvers: [ana], timeout: 5m, escalateAfter: 10m, escalateTo: [ben]}}',
    ],
    problems: [
      '27:73: error: services.checkout.approvals.cutover.escalateAfter: cutover of checkout would escalate after 10m, when it has already timed out (5m) [escalation_too_late]',
    ],
  },
  {
    name: 'escalation to nobody',
    change: ['    checks: [ready]', '    checks: [ready]\n    approvals: {cutover: {escalateAfter: 10m}}'],
    problems: [
      '27:42: error: services.checkout.approvals.cutover.escalateAfter: cutover of checkout: escalateAfter needs escalateTo [escalation_incomplete]',
    ],
  },
  {
    name: 'local writes without a workload',
    change: ['    checks: [ready]', '    checks: [ready]\n    writes: local'],
    problems: [
      "27:13: error: services.checkout.writes: writes: local means that checkout's app is switched between the regions, but it names no workload component [local_without_workload]",
    ],
  },
  {
    name: 'a bad default, said once',
    change: ['components:\n  orders-db', 'defaults: {ramp: {steps: [50]}}\ncomponents:\n  orders-db'],
    problems: ['6:27: error: defaults.ramp.steps.0: the ramp must end at 100, it ends at 50 [ramp_not_complete]'],
  },
  {
    name: 'step in an unknown stage',
    change: ['stage: prepare', 'stage: prepair'],
    problems: [
      '30:16: error: services.checkout.steps.0.stage: expected one of "preflight", "prepare", "quiesce", "promote-atomic", "fence", "catch-up", "promote", "verify", "route", "ramp", "drain", "reprotect", "settle", got "prepair"; did you mean "prepare"? [invalid_value]',
    ],
  },
  {
    name: 'step of an unknown kind',
    change: ['kind: command', 'kind: comand'],
    problems: [
      '32:15: error: services.checkout.steps.0.kind: "comand" is no kind of step; did you mean "command"? [unknown_kind]',
    ],
  },
  {
    name: 'step with a shell line',
    change: ['[/bin/warm]', '/bin/warm --all'],
    problems: ['33:18: error: services.checkout.steps.0.command: expected a list, got a text [invalid_type]'],
  },
  {
    name: 'step without deadline',
    change: ['        deadline: 1m\n', ''],
    problems: [
      '29:9: error: services.checkout.steps.0.deadline: is required: expected a duration such as 500ms, 30s, 5m or 1h30m [required]',
    ],
  },
  {
    name: 'reversible step without undo',
    change: ['effect: none', 'effect: reversible'],
    problems: [
      '34:17: error: services.checkout.steps.0.effect: a reversible step needs an undo; without one its effect is irreversible [undo_missing]',
    ],
  },
  {
    name: 'undo of nothing',
    change: ['effect: none', 'effect: none\n        undo: {kind: command, command: [/bin/cool]}'],
    problems: [
      '35:9: error: services.checkout.steps.0.undo: a step whose effect is none cannot have an undo [undo_unused]',
    ],
  },
  {
    name: 'effect before the gate',
    change: [
      'stage: prepare\n        summary: Warm it\n        kind: command\n        command: [/bin/warm]\n        effect: none',
      'stage: preflight\n        summary: Warm it\n        kind: command\n        command: [/bin/warm]\n        effect: irreversible',
    ],
    problems: [
      '34:17: error: services.checkout.steps.0.effect: a preflight step must have no effect: nothing may change before the first gate [effect_before_gate]',
    ],
  },
  {
    name: 'step longer than the freeze',
    change: ['stage: prepare', 'stage: route'],
    problems: [
      '35:19: error: services.checkout.steps.0.deadline: nobody can write during route, and the tier allows that for 30s in all: shorten the deadline or choose prepare or ramp [deadline_exceeds_freeze]',
    ],
  },
  {
    name: 'step on our own queue',
    change: [
      'kind: command\n        command: [/bin/warm]',
      'kind: activity\n        activity: {type: warm}\n        taskQueue: rampart.eu-west',
    ],
    problems: [
      "34:20: error: services.checkout.steps.0.taskQueue: must be the team's own task queue: those named rampart belong to Rampart's workers [reserved_queue]",
    ],
  },
  {
    name: 'step with a password in its address',
    change: [
      'kind: command\n        command: [/bin/warm]',
      'kind: http\n        http: {url: "https://u:p@example.com"}',
    ],
    problems: [
      '33:21: error: services.checkout.steps.0.http.url: an address must not hold a password: put the header or the whole address into ${env:NAME} [invalid_url]',
    ],
  },
  {
    name: 'step that asks for a variable nobody sets',
    change: ['[/bin/warm]', "[/bin/warm, '--from={{form}}']"],
    problems: [
      '33:30: error: services.checkout.steps.0.command.1: there is no variable {{form}}; did you mean "from"? [unknown_variable]',
    ],
  },
  {
    name: 'two steps of one name',
    change: [
      '        deadline: 1m\n',
      '        deadline: 1m\n      - {name: warm, stage: settle, summary: Again, kind: command, command: [/bin/warm], effect: none, deadline: 1m}\n',
    ],
    problems: [
      '36:16: error: services.checkout.steps.1.name: another step of this service is named "warm" [duplicate]',
    ],
  },
];
