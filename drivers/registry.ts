import { arcRoutingControl } from './arc-routing-control/driver.ts';
import { asg } from './asg/driver.ts';
import { aurora, auroraGlobal } from './aurora/driver.ts';
import { commandCheck } from './checks/command.ts';
import { httpCheck } from './checks/http.ts';
import { prometheusCheck } from './checks/prometheus.ts';
import { sqlCheck } from './checks/sql.ts';
import { tcpCheck } from './checks/tcp.ts';
import { cloudflareDns } from './cloudflare/dns.ts';
import { cloudflareLb } from './cloudflare/lb.ts';
import { cloudwatch } from './cloudwatch/driver.ts';
import { ecs } from './ecs/driver.ts';
import { globalAccelerator } from './global-accelerator/driver.ts';
import { httpContract } from './http-contract/driver.ts';
import type { Driver } from './ports.ts';
import { postgres } from './postgres/driver.ts';
import { rds, rdsMultiAz } from './rds/driver.ts';
import { route53 } from './route53/driver.ts';
import { traefik } from './traefik/driver.ts';

/** Every system that Rampart drives. Adding one adds its folder and its line here. */
const all: Driver[] = [
  postgres,
  rds,
  rdsMultiAz,
  auroraGlobal,
  aurora,
  traefik,
  arcRoutingControl,
  cloudflareLb,
  cloudflareDns,
  route53,
  globalAccelerator,
  httpContract,
  ecs,
  asg,
  httpCheck,
  tcpCheck,
  sqlCheck,
  prometheusCheck,
  commandCheck,
  cloudwatch,
];

/** Drivers by the `type` that a component names. */
export const drivers: ReadonlyMap<string, Driver> = new Map(all.map((driver) => [driver.type, driver]));
