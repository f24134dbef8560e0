/** Dependency cycles. Pure. */

/**
 * Every cycle that a depth-first walk meets, once each, as the names on it in order (`[a, b]` means a → b → a).
 * Linear in nodes and edges; edges to unknown nodes are ignored. No recursion: chains may be long.
 */
export function findCycles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  for (const root of edges.keys()) {
    if (done.has(root)) continue;
    const trail: Array<{ node: string; next: number }> = [{ node: root, next: 0 }];
    const position = new Map([[root, 0]]);
    while (trail.length > 0) {
      const top = trail.at(-1)!;
      const target = edges.get(top.node)?.[top.next++];
      if (target === undefined) {
        done.add(top.node);
        position.delete(top.node);
        trail.pop();
      } else if (position.has(target)) {
        cycles.push(trail.slice(position.get(target)).map((entry) => entry.node));
      } else if (edges.has(target) && !done.has(target)) {
        position.set(target, trail.length);
        trail.push({ node: target, next: 0 });
      }
    }
  }
  return cycles;
}
