/** What the shared parts need to know of a PostgreSQL server and of the component it belongs to. */
import type { RegionName } from '../../topology/model.ts';
import type { DriverContext } from '../ports.ts';

export interface SqlServer {
  name: string;
  region: RegionName;
  host: string;
  port: number;
  user: string;
  /** Secret reference. */
  password: string | undefined;
}

export interface SqlConfig {
  /** The service's database: the write probe goes there. */
  database: string;
  /** Where administration connects, and which a fence by SQL never closes. */
  controlDatabase: string;
  ssl: 'disable' | 'require' | 'verify-full';
  /** File with the certificate authority for verify-full. */
  sslRootCert?: string | undefined;
  /** Longest wait for a connection, in milliseconds. */
  connectTimeout: number;
  /** Oldest reading of the primary's position that a lag may be measured against, in milliseconds. */
  lagFreshness: number;
}

/** One component as a driver call sees it. */
export interface SqlComponent {
  component: string;
  config: SqlConfig;
  context: DriverContext;
}

/** `host:port`, as people and `primary_conninfo` know the server. */
export const addressOf = (server: { host: string; port: number }): string => `${server.host}:${server.port}`;
