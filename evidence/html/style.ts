/** The page's look: light and dark by the reader's setting, one column, prints on A4 and Letter. */
export const STYLE = `
:root{color-scheme:light dark;
--page:#f6f7f9;--card:#fff;--ink:#171b21;--soft:#5a6472;--line:#e1e5ea;--fill:#eef1f5;
--blue:#2f6fd6;--good:#1a7f4b;--good-fill:#e2f4ea;--warn:#9a5b00;--warn-fill:#fdf0d9;--bad:#bf2a2a;--bad-fill:#fce6e5;--quiet-fill:#edf0f3;--violet:#7a4fc9;--freeze:#cfe4fb}
@media (prefers-color-scheme:dark){:root{
--page:#0f1216;--card:#171b21;--ink:#e7eaee;--soft:#9aa5b3;--line:#2a3038;--fill:#20262e;
--blue:#6ea4f5;--good:#55c88a;--good-fill:#12301f;--warn:#e6ad4c;--warn-fill:#35270e;--bad:#f07a75;--bad-fill:#3a1817;--quiet-fill:#232931;--violet:#b193f0;--freeze:#1b324d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:1160px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:27px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:22px;line-height:1.25;margin:0;letter-spacing:-.01em}
.brand{color:var(--soft);font-size:13px;margin:0 0 4px;letter-spacing:.02em}
h3{font-size:16px;margin:34px 0 10px}
h4{font-size:14px;margin:18px 0 6px;color:var(--soft);font-weight:600}
p{margin:6px 0;max-width:80ch}
a{color:var(--blue)}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.88em;overflow-wrap:anywhere}
.soft{color:var(--soft)}
.run{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:26px 28px 30px;margin:26px 0}
.run>header{display:flex;gap:16px;align-items:flex-start;justify-content:space-between;flex-wrap:wrap}
.badge{display:inline-block;border-radius:999px;padding:4px 14px;font-weight:650;font-size:14px;white-space:nowrap}
.tag{display:inline-block;border-radius:6px;padding:1px 8px;font-size:13px;font-weight:600;white-space:nowrap}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.badge.good,.tag.good{background:var(--good-fill)}.badge.warn,.tag.warn{background:var(--warn-fill)}.badge.bad,.tag.bad{background:var(--bad-fill)}
.badge.quiet,.tag.quiet{background:var(--quiet-fill);color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:20px 0 4px}
.tile{border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile b{display:block;font-size:22px;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.tile span{display:block;color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--soft);font-size:13px;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:bottom}
td{padding:7px 14px 7px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}
td:last-child{padding-right:0}.nb{white-space:nowrap}
tr:last-child>td{border-bottom:0}
td.time,th.time{white-space:nowrap;overflow-wrap:normal;color:var(--soft);padding-right:16px}
.wide{overflow-x:auto}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(310px,1fr));gap:2px 32px;margin:8px 0}
.facts div{display:grid;grid-template-columns:130px 1fr;gap:10px;padding:4px 0;border-bottom:1px solid var(--line);font-size:14px}
.facts dt{color:var(--soft);margin:0}.facts dd{margin:0;overflow-wrap:anywhere}
.callout{border-left:4px solid var(--line);background:var(--fill);border-radius:0 8px 8px 0;padding:12px 16px;margin:10px 0}
.callout.good{border-color:var(--good);color:inherit}.callout.warn{border-color:var(--warn);color:inherit}.callout.bad{border-color:var(--bad);color:inherit}
.callout p:first-child{margin-top:0}.callout p:last-child{margin-bottom:0}
.remedy{margin-top:3px;color:var(--soft)}.remedy::before{content:"→ "}
.chart{overflow-x:auto;margin:6px 0 10px}
.chart svg{display:block;width:100%;min-width:860px;height:auto;font-family:inherit}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:13px;color:var(--soft);margin:2px 0 4px}
.legend i{display:inline-block;width:14px;height:10px;border-radius:2px;margin-right:6px;vertical-align:-1px}
.g-stage{font-size:12px;font-weight:700;fill:var(--ink)}
.g-note,.g-tick{font-size:11.5px;fill:var(--soft)}
.g-label{font-size:11.5px;fill:var(--ink)}
.g-time{font-size:10.5px;fill:var(--soft)}
.g-grid,.g-sep{stroke:var(--line);stroke-width:1}
.g-span{fill:var(--soft);opacity:.45}
.g-bar{fill:var(--blue)}.g-done{fill:var(--blue)}.g-already{fill:var(--blue);opacity:.45}.g-failed{fill:var(--bad)}.g-skipped{fill:var(--soft);opacity:.5}.g-cancelled{fill:var(--warn)}.g-running{fill:var(--blue);opacity:.6}.g-undo{fill:var(--violet)}.g-people{fill:var(--soft);opacity:.35}
.g-freeze{fill:var(--freeze);opacity:.75}
.g-break{fill:var(--fill);stroke:var(--line);stroke-dasharray:3 3}
.g-wait{font-size:11.5px;fill:var(--soft)}
.g-pnr{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:5 4}.g-pnr-text{font-size:11.5px;font-weight:600;fill:var(--bad)}
.g-decision.good{fill:var(--good)}.g-decision.bad{fill:var(--bad)}
.r-set{fill:none;stroke:var(--blue);stroke-width:2.5}
.r-seen{stroke:var(--card);stroke-width:2}.r-seen.good{fill:var(--good)}.r-seen.bad{fill:var(--bad)}.r-seen.open{fill:var(--soft)}
.r-label{font-size:12px;font-weight:600;fill:var(--ink)}.r-key{font-size:12px;font-weight:700;fill:var(--blue)}
details{margin-top:22px}summary{cursor:pointer;font-weight:600;font-size:16px}
.log{font-size:13px}
footer{margin-top:30px;color:var(--soft);font-size:13px}
@media (max-width:640px){.stack thead{display:none}.stack tr{display:block;padding:8px 0;border-bottom:1px solid var(--line)}.stack tr:last-child{border-bottom:0}.stack td{display:block;border:0;padding:2px 0}.stack td:empty{display:none}.stack td[data-l]::before{content:attr(data-l) ": ";color:var(--soft)}
main{padding:18px 12px 40px}.run{padding:18px 16px}.facts div{grid-template-columns:110px 1fr}}
@media print{:root{--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--fill:#f3f3f3;--blue:#2f6fd6;--good:#1a7f4b;--good-fill:#e2f4ea;--warn:#9a5b00;--warn-fill:#fdf0d9;--bad:#bf2a2a;--bad-fill:#fce6e5;--quiet-fill:#edf0f3;--violet:#7a4fc9;--freeze:#cfe4fb}
@page{margin:14mm}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{font-size:11px}main{max-width:none;padding:0}.run{border:0;padding:0;margin:0 0 20px;break-before:page}.run:first-of-type{break-before:auto}
table,th,.log,.facts div,.legend{font-size:10px}.tag,.badge{font-size:10px;padding:1px 7px}td{padding-top:4px;padding-bottom:4px}.tile b{font-size:16px}.tile span{font-size:10px}
.wide,.chart{overflow:visible}.chart svg{min-width:0}
h3,h4,.legend{break-after:avoid}tr,.callout,.tile,.chart{break-inside:avoid}
details::details-content{content-visibility:visible;display:block;height:auto}summary{list-style:none}}
`;
