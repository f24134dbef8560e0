/** The plan as people read it. Golden texts: a change here is a change of what somebody approves at night. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../plan/compile.ts';
import { renderPlan } from '../../plan/render.ts';
import { wrap } from '../../plan/wrap.ts';
import { input, WORLDS } from './world.ts';

const render = (world: string, request = {}) => renderPlan(compilePlan(input(WORLDS[world]!(), request)));

describe('a plan as text', () => {
  it('planned', async () => {
    await expect(render('steady(A)')).toMatchFileSnapshot('golden/planned.txt');
  });

  it('unplanned', async () => {
    await expect(render('sourceLost(A)', { mode: 'unplanned' })).toMatchFileSnapshot('golden/unplanned.txt');
  });

  it('blocked', async () => {
    await expect(render('sourceLost(A)')).toMatchFileSnapshot('golden/blocked.txt');
  });

  it('resumed in the ramp', async () => {
    await expect(render('midRamp(B)')).toMatchFileSnapshot('golden/resumed.txt');
  });

  it('nothing to do', () => {
    expect(render('steady(B)')).toContain('Nothing to do: eu-central is active');
    expect(render('steady(B)')).not.toContain('preflight');
  });

  it('paints with the palette it is given, and plainly without', () => {
    const plan = compilePlan(input(WORLDS['sourceLost(A)']!()));
    const mark = (name: string) => (text: string) => `«${name}»${text}«/${name}»`;
    const palette = {
      bold: mark('b'),
      dim: mark('dim'),
      red: mark('red'),
      green: mark('green'),
      yellow: mark('yellow'),
      cyan: mark('cyan'),
    };
    const painted = renderPlan(plan, { palette, width: 120 });
    expect(painted).toContain('«red»«b»Blocked by 1 finding.');
    expect(painted.replace(/«\/?[a-z]+»/g, '')).toBe(renderPlan(plan, { width: 120 }));
  });

  it('fits the width', () => {
    const long = renderPlan(compilePlan(input(WORLDS['steady(A)']!())), { width: 60 }).split('\n');
    expect(long.filter((line) => line.length > 60 && !line.startsWith('digest'))).toEqual([]);
    expect(wrap('one two three four five six', 20, '  ')).toEqual(['one two three four', '  five six']);
  });
});
