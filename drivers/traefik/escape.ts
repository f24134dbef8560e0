import { basename, dirname, join } from 'node:path';
import type { TraefikConfig } from './config.ts';

/** The commands that write the file by hand, whole, and read it back. They run in any POSIX shell. */
export function escapeCommands(config: TraefikConfig, body: string): string[] {
  const draft = join(dirname(config.file), `.${basename(config.file)}.draft`);
  const protocol = config.kind === 'weighted' ? 'http' : 'tcp';
  const login = config.apiAuthorization === undefined ? '' : ` -H "Authorization: $TRAEFIK_API_AUTHORIZATION"`;
  return [
    `# On the machine where Traefik reads ${config.file}:`,
    `cat > ${quoted(draft)} <<'RAMPART'\n${body}RAMPART`,
    `mv ${quoted(draft)} ${quoted(config.file)}`,
    '# Traefik must show the change; if it does not, look into its log:',
    `curl -fsS${login} ${quoted(`${config.api.replace(/\/+$/, '')}/api/${protocol}/services/${config.service}@file`)}`,
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
