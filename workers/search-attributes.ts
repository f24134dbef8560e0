/** Registers Rampart's search attributes, or says exactly how somebody with the right can. */

import type { NativeConnection } from '@temporalio/worker';
import type { DriverLog } from '../drivers/ports.ts';
import { SEARCH_ATTRIBUTES } from '../workflows/contract.ts';

/** `temporal.api.enums.v1.IndexedValueType`, by its numbers on the wire. */
const TYPE_OF = { KEYWORD: 2, INT: 3, KEYWORD_LIST: 7 } as const;
const CLI_TYPE = { KEYWORD: 'Keyword', INT: 'Int', KEYWORD_LIST: 'KeywordList' };

/** @returns the names of all custom search attributes of the namespace */
export async function registeredSearchAttributes(connection: NativeConnection, namespace: string): Promise<string[]> {
  const answer = await connection.operatorService.listSearchAttributes({ namespace });
  return Object.keys(answer.customAttributes ?? {});
}

/** The exact command for a person with the right. */
export function registrationCommand(namespace: string, missing: string[]): string {
  const flags = missing.map(
    (name) => `--name ${name} --type ${CLI_TYPE[SEARCH_ATTRIBUTES[name as keyof typeof SEARCH_ATTRIBUTES]]}`,
  );
  return `temporal operator search-attribute create --namespace ${namespace} ${flags.join(' ')}`;
}

/** Registers what is missing. Never fails: runs work without, they are only harder to find. */
export async function ensureSearchAttributes(
  connection: NativeConnection,
  namespace: string,
  log: DriverLog,
): Promise<void> {
  try {
    const present = await registeredSearchAttributes(connection, namespace);
    const missing = Object.keys(SEARCH_ATTRIBUTES).filter((name) => !present.includes(name));
    if (missing.length === 0) return;
    try {
      await connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(
          missing.map((name) => [name, TYPE_OF[SEARCH_ATTRIBUTES[name as keyof typeof SEARCH_ATTRIBUTES]]]),
        ),
      });
      log.info('search attributes registered', { missing });
    } catch (error) {
      log.warn(
        'search attributes are missing and could not be registered; somebody with the right can run the command',
        {
          command: registrationCommand(namespace, missing),
          error: error instanceof Error ? error.message : String(error),
        },
      );
    }
  } catch (error) {
    log.warn('search attributes could not be listed', {
      error: error instanceof Error ? error.message : String(error),
    });
  }
}
