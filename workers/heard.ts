/** What the notify command and the channels have heard, so that another try, or what only stands, is not said again. */
import { type Finding, subjectOf } from '../activities/notify/finding.ts';

/** Of one whom it is told to. */
const MOST_WORDS = 5_000;
/** Within this time the same is taken for the same, where its source does not say which word it is, in milliseconds. */
export const AGAIN_MS = 60_000;

export class Heard {
  /** The last word about each subject. */
  readonly #last = new Map<string, Pick<Finding, 'source' | 'state' | 'message' | 'at'>>();
  readonly #words = new Set<string>();

  /**
   * A guard says which word it is by its time, however often it tries: the same finding is another one when it comes
   * again, whoever was told of its end. The watchdog's alarm about the same counts as the guard's word. All others say
   * the same words with another try.
   */
  has(word: Finding, quietMs: number): boolean {
    if (this.#words.has(wordOf(word))) return true;
    const last = this.#last.get(aboutOf(word));
    if (last?.state !== word.state || word.at - last.at >= quietMs) return false;
    if (word.source === 'guard') return last.source === 'watchdog';
    return word.source === 'watchdog' || last.message === word.message;
  }

  add(word: Finding): void {
    const { source, state, message, at } = word;
    keep(this.#words, wordOf(word), () => this.#words.add(wordOf(word)));
    keep(this.#last, aboutOf(word), () => this.#last.set(aboutOf(word), { source, state, message, at }));
  }

  /** It was not taken after all. */
  forget(word: Finding): void {
    this.#words.delete(wordOf(word));
    this.#last.delete(aboutOf(word));
  }
}

/** What a trigger says is told apart by its words: it is never taken back. */
const aboutOf = (word: Finding): string =>
  word.source === 'trigger' ? `${subjectOf(word)} ${word.message}` : subjectOf(word);

const wordOf = (word: Finding): string => `${word.source} ${word.state} ${word.at} ${subjectOf(word)} ${word.message}`;

/** The newest last; the oldest goes when there are too many. */
function keep(all: Map<string, unknown> | Set<string>, key: string, put: () => void): void {
  all.delete(key);
  put();
  if (all.size <= MOST_WORDS) return;
  const [oldest] = all.keys();
  all.delete(oldest!);
}
