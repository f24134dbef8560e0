/** What a person types to change the file when nothing of Rampart runs. */
import { basename, dirname, join } from 'node:path';
import type { Weights } from '../ports.ts';
import type { TraefikConfig } from './config.ts';
import { changeWeights, listsFor, readFileState } from './file.ts';
import type { Layout } from './weights.ts';

/**
 * The commands that write the file by hand, whole, and read it back. They run in any POSIX shell.
 * @param text the file as it is on this machine. `null`: it is on another one, and what is in it is not known: a file
 *   that somebody made up would take its routers, certificates and health checks away
 */
export function escapeCommands(config: TraefikConfig, layout: Layout, wanted: Weights, text: string | null): string[] {
  const protocol = config.kind === 'weighted' ? 'http' : 'tcp';
  const login = config.apiAuthorization === undefined ? '' : ` -H "Authorization: $TRAEFIK_API_AUTHORIZATION"`;
  const readBack = `curl -fsS${login} ${quoted(`${config.api.replace(/\/+$/, '')}/api/${protocol}/services/${config.service}@file`)}`;
  const mustShow = '# Traefik must show the change; if it does not, look into its log:';
  if (text === null)
    return [
      `# There is no ${config.file} on this machine. Call \`rampart escape\` on the one where Traefik reads it; or set these`,
      '# keys there, in a copy that is moved over the file. All else in it stays as it is, also its first line:',
      ...listsFor(layout, wanted).map(({ path, items }) => `#   ${path.join('.')}: ${JSON.stringify(items)}`),
      mustShow,
      `#   ${readBack}`,
    ];
  const { body } = readFileState(text);
  // With the claim of its last writer, whose digest then does not fit: a run that goes on finds that a person was here.
  const claim = text.slice(0, text.length - body.length);
  const draft = join(dirname(config.file), `.${basename(config.file)}.draft`);
  return [
    `# On the machine where Traefik reads ${config.file}:`,
    `cat > ${quoted(draft)} <<'RAMPART'\n${claim}${changeWeights(body, layout, wanted).replace(/\n?$/, '\n')}RAMPART`,
    `mv ${quoted(draft)} ${quoted(config.file)}`,
    mustShow,
    readBack,
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
