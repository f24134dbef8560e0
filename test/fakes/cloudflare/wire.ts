/** The v4 envelope of Cloudflare's API, and what a resource of the fake is given and gives. */

export interface Call {
  method: string;
  /** Below the base URL. */
  path: string;
  query: URLSearchParams;
  body: Record<string, unknown>;
}

export interface Page {
  result: unknown;
  result_info?: Record<string, number>;
}

/** Tells a call from others by method and path; `undefined` = not its own. */
export type Resource = (call: Call) => Page | undefined;

/** The API's own refusal. Its numbers are those that public reports show, where there are any. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: number;

  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function envelope(page: Page): string {
  return JSON.stringify({ ...page, success: true, errors: [], messages: [] });
}

export function failure({ code, message }: Pick<ApiError, 'code' | 'message'>): string {
  return JSON.stringify({ result: null, success: false, errors: [{ code, message }], messages: [] });
}

/** One page of a list, as `page` and `per_page` of the query ask. */
export function paged(items: unknown[], query: URLSearchParams): Page {
  const page = Number(query.get('page') ?? 1);
  const perPage = Number(query.get('per_page') ?? 100);
  const result = items.slice((page - 1) * perPage, page * perPage);
  const total_pages = Math.max(1, Math.ceil(items.length / perPage));
  const counts = { count: result.length, total_count: items.length, total_pages };
  return { result, result_info: { page, per_page: perPage, ...counts } };
}

/** Refuses fields that the documented request does not have: the real one may ignore them, and a typo with them. */
export function onlyFields(body: Record<string, unknown>, known: readonly string[]): void {
  const strange = Object.keys(body).filter((field) => !known.includes(field));
  if (strange.length > 0) throw new ApiError(400, 1002, `unknown field ${strange.join(', ')}`);
}
