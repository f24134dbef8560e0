/** Commands that pages and units name, checked against what the command line really takes. */
import { Command } from 'commander';
import type { Load } from '../../clients/cli/program.ts';
import { declareVerbs } from '../../clients/cli/verbs.ts';

/** Options that every verb takes, before or after its name. */
const COMMON = ['--config', '--json', '--no-color', '--help', '-h'];
/** What the launcher itself does. */
const LAUNCHER = ['test'];

/** The program with every verb and the lab's own, without any action. */
export async function program(): Promise<Command> {
  const root = new Command('rampart');
  const load: Load = (command) => command;
  await declareVerbs(root, load, ['lab']);
  return root;
}

/** A command line in words; what follows a pipe, a semicolon or a comment is left out. */
export function words(line: string): string[] {
  const out: string[] = [];
  for (const match of line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"']+)/g)) {
    const bare = match[3];
    if (bare !== undefined && /^(\||\|\||&&|;|#|>|2>)/.test(bare)) break;
    const word = match[1] ?? match[2] ?? bare!;
    // `--reason='a b'` is one word.
    if (bare === undefined && /=$/.test(out.at(-1) ?? '')) out[out.length - 1] += word;
    else out.push(word.replace(/;$/, ''));
    if (bare?.endsWith(';')) break;
  }
  return out;
}

/**
 * What is wrong with `rampart …`; `null` when the command line takes it.
 * @param mention true for a name in a sentence, which may leave its arguments out
 */
export function problemOf(root: Command, line: string, mention = false): string | null {
  const [name, ...rest] = words(line);
  if (name === undefined || !/(^|\/)rampart$/.test(name)) return `not a rampart command: ${line}`;
  let command = root;
  const given = [...rest];
  while (COMMON.includes(given[0] ?? '')) given.splice(0, given[0] === '--config' ? 2 : 1);
  if (LAUNCHER.includes(given[0] ?? '')) return null;
  while (command.commands.length > 0) {
    const takesOperands = command.registeredArguments.length > 0;
    if (takesOperands && !command.commands.some((c) => c.name() === given[0])) break;
    const verb = given.shift();
    if (verb === undefined || verb === '…')
      return command === root || verb === '…' ? null : `${command.name()} needs a verb`;
    const found = command.commands.find((c) => c.name() === verb);
    if (verb === '<verb>') return null;
    if (found === undefined) return `there is no verb ${verb}`;
    command = found;
  }
  const args: string[] = [];
  for (let i = 0; i < given.length; i += 1) {
    const word = given[i]!;
    if (word === '…' || word === '...') continue;
    if (!word.startsWith('-') || word === '-') {
      args.push(word);
      continue;
    }
    const [flag, inline] = word.split('=', 2) as [string, string | undefined];
    const option = command.options.find((o) => o.long === flag || o.short === flag);
    if (option === undefined && !COMMON.includes(flag)) return `${command.name()} takes no ${flag}`;
    const takesValue = option === undefined ? flag === '--config' : option.required;
    if (takesValue && inline === undefined) {
      if (given[i + 1] === undefined) return `${flag} needs a value`;
      i += 1;
    } else if (option?.optional && /^[^-]/.test(given[i + 1] ?? '-')) i += 1;
  }
  const most = command.registeredArguments;
  const least = most.filter((a) => a.required).length;
  if (args.length < least && !mention) return `${command.name()} needs ${most.map((a) => a.name()).join(', ')}`;
  if (args.length > most.length && !most.some((a) => a.variadic)) return `${command.name()} takes no ${args.at(-1)}`;
  return null;
}

/** Every `rampart …` in the code of a Markdown page: fenced lines (continued ones joined), and mentions in sentences. */
export function commandsIn(markdown: string): Array<{ line: string; mention: boolean }> {
  const out: Array<{ line: string; mention: boolean }> = [];
  const prose = markdown.replace(/^( *)```(\w*)\n(.*?)^\1```/gms, (_all, _indent, language: string, code: string) => {
    if (['sh', 'bash', 'console', ''].includes(language))
      for (const line of code.replace(/\s*\\\n\s*/g, ' ').split('\n')) {
        const m = /^\s*(?:\$ |sudo |docker(?:-| )compose exec \S+ )*((?:\.\/|\S*\/)?rampart(?: .*)?)$/.exec(line);
        if (m !== null) out.push({ line: m[1]!, mention: false });
      }
    return '';
  });
  for (const m of prose.matchAll(/`((?:\.\/)?rampart [^`]+)`/g)) out.push({ line: m[1]!, mention: true });
  return out;
}
