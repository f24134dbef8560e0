/** From arguments of `plan` and `start` to a request, checked against the topology before anything is sent. */
import type { Action, Mode, Request } from '../../plan/model.ts';
import { lockOf, type Topology } from '../../topology/model.ts';
import { hint } from '../../topology/suggest.ts';
import type { Cli } from './cli.ts';
import { badInput } from './exit.ts';
import { readCodes } from './options.ts';
import { checkRegion, requireTopology, serviceIn } from './topology.ts';

export interface RequestOptions {
  service?: string;
  to?: string;
  from?: string;
  mode?: string;
  reason?: string;
  percent?: string;
  steps?: string;
  digest?: string;
  /** Codes, each possibly a list with commas. */
  override?: string[];
}

/** What people call the actions, and their wire names. */
const ACTIONS: Readonly<Record<string, Action>> = {
  failover: 'failover',
  failback: 'failback',
  ramp: 'trafficRamp',
  reprotect: 'reprotect',
  refence: 'refence',
};

export interface Asked {
  request: Request;
  lock: string;
  topology: Topology;
}

/**
 * @param args action, and optionally the service
 * @throws CliError that names what would be right
 */
export async function readRequest(cli: Cli, args: string[], options: RequestOptions, by: string): Promise<Asked> {
  const [word = '', positional] = args;
  const action = ACTIONS[word] ?? (word === 'trafficRamp' ? 'trafficRamp' : undefined);
  if (action === undefined) throw badInput(`there is no action "${word}"${hint(word, Object.keys(ACTIONS))}`);
  const name = options.service ?? positional;
  const example = `rampart start ${word} --service checkout --to eu-central`;
  if (name === undefined) throw badInput('--service must name the service', example);
  if (positional !== undefined && options.service !== undefined && positional !== options.service) {
    throw badInput(`the service is named twice: ${positional} and ${options.service}`);
  }
  const topology = await requireTopology(cli);
  const service = serviceIn(topology, name);
  checkRegion(service, '--to', options.to);
  checkRegion(service, '--from', options.from);
  const request: Request = { action, service: service.name, by };
  if (options.to !== undefined) request.to = options.to;
  if (options.from !== undefined) request.from = options.from;
  if (options.mode !== undefined) request.mode = readMode(options.mode);
  if (options.reason !== undefined) request.reason = options.reason;
  if (options.digest !== undefined) request.digest = options.digest;
  if (options.percent !== undefined) request.percent = readPercent(action, options.percent);
  if (options.steps !== undefined) request.ramp = readSteps(action, options.steps);
  const override = readCodes(options.override);
  if (override.length > 0) request.override = override;
  return { request, lock: lockOf(service), topology };
}

function readMode(text: string): Mode {
  if (text === 'planned' || text === 'unplanned') return text;
  throw badInput(`--mode ${text}: there are planned (zero loss) and unplanned (the source is dead or dying)`);
}

function readPercent(action: Action, text: string): number {
  if (action !== 'trafficRamp') throw badInput('--percent belongs to ramp: how much of the traffic shall have moved');
  const percent = Number(text);
  if (Number.isInteger(percent) && percent >= 0 && percent <= 100) return percent;
  throw badInput(`--percent ${text}: a whole number from 0 to 100`);
}

function readSteps(action: Action, text: string): number[] {
  if (action !== 'trafficRamp') throw badInput("--steps belongs to ramp: a move takes the service's own steps");
  const steps = text.split(',').map((part) => Number(part.trim()));
  const rises = steps.every((step, i) => Number.isInteger(step) && step > (steps[i - 1] ?? 0) && step <= 100);
  if (rises) return steps;
  throw badInput(`--steps ${text}: whole numbers that rise, up to 100, such as 10,25,50,100`);
}

/** The command line that asks for this. */
export function commandOf({ action, service, from, to, mode }: Request): string {
  const words = [
    ['rampart start', action === 'trafficRamp' ? 'ramp' : action],
    ['--service', service],
    ['--from', from],
    ['--to', to],
    ['--mode', mode],
  ];
  return words
    .filter(([, value]) => value !== undefined)
    .flat()
    .join(' ');
}
