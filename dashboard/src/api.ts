// Questions and orders to the JSON API of this same server. Must not know pages.

export class Refusal extends Error {}

export async function ask<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Refusal("the server does not answer");
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refusal(told?.error?.message ?? `the server answered ${answer.status}`);
  return told as T;
}

/** Below /api/v1: the segments of a path. */
export const api = (...path: string[]): string => `/api/v1/${path.map(encodeURIComponent).join("/")}`;
