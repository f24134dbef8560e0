/**
 * A DNS record at Cloudflare as an endpoint: it points at exactly one region. Content and claim change in one batch,
 * and count when the API and every authoritative name server show them.
 */
import type { Component } from '../../topology/model.ts';
import { claimToWrite, sameClaim } from '../claims.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import type { Driver, DriverContext, Json, Receipt, Router, Weights } from '../ports.ts';
import { contradictions, takeSample } from '../sample.ts';
import { DNS_CALLS } from './calls.ts';
import { assertMayChange } from './claim.ts';
import { cloudflareApi } from './client.ts';
import {
  canonical,
  contentsOf,
  type DnsConfig,
  dnsCapabilities,
  dnsConfigSchema,
  dnsNodeSchema,
  validateDns,
} from './dns-config.ts';
import { dnsFindings } from './dns-findings.ts';
import { type DnsApi, type DnsRecord, type DnsState, readDns, ttlOf } from './dns-state.ts';
import { type DnsPatch, sendPatch } from './dns-write.ts';
import { curl } from './lb-escape.ts';
import { checkedWeights, sameWeights, showWeights } from './weights.ts';
import { applyOnce } from './write.ts';

/** Between two signs of life while an old TTL runs out, in milliseconds. */
const HEARTBEAT_MS = 5_000;

export const cloudflareDns: Driver<'router'> = {
  type: 'cloudflare-dns',
  role: 'router',
  summary: 'A DNS record at Cloudflare that points at one region',
  config: dnsConfigSchema,
  node: dnsNodeSchema,
  secrets: ['apiToken'],
  calls: [DNS_CALLS],
  capabilities: (config) => dnsCapabilities(config as unknown as DnsConfig),
  local: () => false,
  validate: validateDns,
  open: openDns,
};

function openDns(component: Component, context: DriverContext): Router {
  const config = component.config as unknown as DnsConfig;
  const { name } = component;
  const contents = contentsOf(component);
  const regions = Object.keys(contents);
  const open = () => cloudflareApi(DNS_CALLS, config, context, name);
  const read = async (api?: DnsApi) => readDns(api ?? (await open()), config, contents, context);
  const receipt = (already: boolean, summary: string, facts: Receipt['facts']): Receipt => ({
    already,
    at: context.now(),
    summary: `${name}: ${summary}`,
    facts,
  });

  /** @throws PreconditionFailed when there is no such record, or several */
  function recordOf({ record, obstacle }: DnsState): DnsRecord {
    if (record !== null) return record;
    throw new RampartError('PreconditionFailed', `${name}: ${obstacle}`, {
      remedy: 'Keep exactly one record of this type under the name; Rampart changes what is there and creates nothing.',
    });
  }

  async function change(api: DnsApi, before: DnsState, settled: boolean, goal: Goal): Promise<void> {
    const claim = claimToWrite(before.mark.claim, context);
    if (settled && sameClaim(before.mark.claim, claim) && before.mark.digest === before.digest) return;
    const { wanted, shows } = goal;
    await applyOnce({
      ...{ name, config, context, claim, before, wanted, shows },
      send: () => sendPatch({ api, config, name, claim, before, change: goal.change }),
      read: () => read(api),
      observed: ({ weights, problems, record }) =>
        [showWeights(weights), ...problems, `TTL ${record?.ttl ?? 'unknown'}`].join('; '),
      remedy: 'See the record and its zone at Cloudflare. A load balancer of the same name goes before a record.',
    });
  }

  async function setWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(name, regions, asked, true);
    const content = canonical(contents[regions.find((region) => wanted[region] === 100)!]!);
    const api = await open();
    const before = await read(api);
    recordOf(before);
    const fits = sameWeights(before.weights, wanted);
    assertMayChange(name, before, fits, context);
    const already = fits && before.problems.length === 0;
    await change(api, before, already, {
      change: { content },
      wanted: showWeights(wanted),
      shows: (now) => sameWeights(now.weights, wanted) && now.problems.length === 0,
    });
    const summary = `${config.name} ${already ? 'already pointed' : 'points'} at ${content}`;
    const keeps = ttlOf(before.record!);
    const late = already || keeps === 0 ? '' : `; resolvers may keep the old answer for ${keeps / 1000} s`;
    return receipt(already, `${summary}${late}`, { before: before.weights, after: wanted, oldAnswersMs: keeps });
  }

  async function verifyWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(name, regions, asked, true);
    const { weights, problems } = await read();
    if (!sameWeights(weights, wanted) || problems.length > 0) {
      const told = [showWeights(weights), ...problems].join('; ');
      throw new RampartError('NotApplied', `${name}: wanted ${showWeights(wanted)}, observed ${told}`, {
        remedy: 'See the record at Cloudflare. A load balancer of the same name goes before it.',
      });
    }
    const by = config.nameServers.length === 0 ? 'the API' : `the API and ${config.nameServers.length} name servers`;
    if (config.sample === undefined) {
      return receipt(true, `${by} show ${showWeights(wanted)}`, { by: 'readback', observed: wanted });
    }
    const sample = await takeSample(config.sample, context.signal);
    const wrong = contradictions(sample, wanted);
    if (wrong.length > 0) {
      throw new RampartError('NotApplied', `${name}: clients get ${wrong.join('; ')}`, {
        remedy: "This worker's resolver may still have the old answer; else see that the region answers.",
        details: { ...sample },
      });
    }
    const summary = `${sample.requests} requests gave ${showWeights(sample.observed)}`;
    return receipt(true, summary, { by: 'sampled', ...sample });
  }

  /** Lowers the TTL, and waits until nobody can have an answer that lives longer. */
  async function prepare(options?: { wait: boolean }): Promise<Receipt> {
    const api = await open();
    const before = await read(api);
    const record = recordOf(before);
    const ttl = config.switchTtl / 1000;
    if (ttlOf(record) === 0) return receipt(true, 'nothing to prepare: the record is proxied', { ttl: record.ttl });
    const low = ttlOf(record) <= config.switchTtl;
    assertMayChange(name, before, low, context);
    if (!low) {
      const shows = (now: DnsState) => now.record?.ttl === ttl;
      await change(api, before, false, { change: { ttl }, wanted: `a TTL of ${ttl} s`, shows });
    }
    // An earlier attempt, a run that was lost, or a person may have lowered it just now: then the record tells since when
    // at most, and the topology from what.
    const since = low ? Date.parse(record.modified_on) : context.now();
    const was = config.ttl > config.switchTtl ? config.ttl : 0;
    const keeps = low ? was : ttlOf(record);
    const until = since + keeps;
    const facts = { ttl, before: record.ttl, oldAnswersUntil: until };
    const left = Math.min(until - context.now(), keeps);
    if (left > 0 && options?.wait !== false) await waitOut(left);
    const lowered = low ? `its TTL is ${record.ttl} s` : `its TTL was lowered from ${record.ttl} to ${ttl} s`;
    const still =
      left > 0 && options?.wait === false ? `; old answers live until ${new Date(until).toISOString()}` : '';
    return receipt(low, `${lowered}${still}`, facts);
  }

  async function waitOut(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= HEARTBEAT_MS) {
      context.heartbeat({ component: name, waitingFor: 'the old TTL to run out', leftMs: left });
      await clock.sleep(Math.min(left, HEARTBEAT_MS), context.signal).catch(() => undefined);
      context.signal.throwIfAborted();
    }
  }

  async function restore(saved: Record<string, Json>): Promise<Receipt> {
    const api = await open();
    const before = await read(api);
    const { ttl } = saved;
    const record = before.record;
    if (typeof ttl !== 'number' || record === null || record.ttl === ttl || ttlOf(record) === 0) {
      return receipt(true, 'nothing to put back', { ttl: record?.ttl ?? null });
    }
    if (record.ttl !== config.switchTtl / 1000) {
      return receipt(true, `its TTL of ${record.ttl} s is neither ours nor what was before (${ttl} s): left alone`, {
        ttl,
      });
    }
    assertMayChange(name, before, true, context);
    const shows = (now: DnsState) => now.record?.ttl === ttl;
    await change(api, before, false, { change: { ttl }, wanted: `a TTL of ${ttl} s`, shows });
    return receipt(false, `its TTL is ${ttl} s again`, { ttl });
  }

  return {
    async observe() {
      const state = await read().catch((error: unknown) => {
        if (error instanceof RampartError) return error;
        throw error;
      });
      const observedAt = context.now();
      if (state instanceof RampartError) {
        return { reachable: false, weights: null, applied: false, observedAt, detail: state.message, claim: null };
      }
      const { weights, problems, mark } = state;
      const detail = problems.join('; ');
      return { reachable: true, weights, applied: problems.length === 0, observedAt, detail, claim: mark.claim };
    },
    setWeights,
    verifyWeights,
    async save() {
      const record = recordOf(await read());
      const { id, ttl, content = null, proxied = false } = record;
      return receipt(true, `its TTL is ${ttl === 1 ? 'automatic' : `${ttl} s`}`, { id, ttl, content, proxied });
    },
    prepare,
    restore,
    async preflight(mode, from, _to) {
      const [state, sample] = await Promise.all([
        read(),
        config.sample === undefined ? null : takeSample({ ...config.sample, requests: 20 }, context.signal),
      ]);
      return dnsFindings(name, config, state, sample, { mode, from });
    },
    async escape(to) {
      checkedWeights(name, regions, { [to]: 100 }, true);
      const state = await read().catch((error: unknown) => {
        if (error instanceof RampartError) return null;
        throw error;
      });
      const records = `/zones/${config.zoneId}/dns_records`;
      const patch = { patches: [{ id: state?.record?.id ?? 'RECORD_ID', content: contents[to] }] };
      const ask = config.nameServers.map(
        (server) => `dig +short ${config.name} ${config.recordType} @${server.replace(/:(\d+)$/, ' -p $1')}`,
      );
      const known = state?.record != null;
      return [
        curl(config, 'GET', `${records}?name.exact=${config.name}`),
        ...(known ? [] : ['# Put the id from the answer above in the place of RECORD_ID:']),
        `${known ? '' : '# '}${curl(config, 'POST', `${records}/batch`, patch)}`,
        '# Every name server must answer with it:',
        ...(ask.length > 0 ? ask : [`dig +trace ${config.name} ${config.recordType}`]),
      ];
    },
  };
}

interface Goal {
  change: DnsPatch['change'];
  /** For people. */
  wanted: string;
  shows(now: DnsState): boolean;
}
