/* The start of the page, and the place of the reader when it reloads. */

function showStudy(section, study, key) {
  const sizes = study.searches.map((search) => search.batch_size);
  const now = { size: remembered(`${key} size`, nearestSize(study, sizes)), view: 0, quantity: "steps" };
  if (!sizes.includes(now.size)) now.size = sizes[0];
  let search = () => {};
  const choose = (size) => {
    now.size = size;
    remember(`${key} size`, size);
    search();
    steps();
  };
  const steps = stepsChart(section, study, key, now, choose);
  if (section.querySelector("[data-part=search]")) search = searchCharts(section, study, key, now, choose);
  const devices = section.querySelector("[data-chart=devices]");
  if (devices) devicesChart(devices, study.cost.devices);
  if (section.querySelector("[data-part=hyperparameters]")) hyperparameterCharts(section, study);
}

/** Return the batch size to show first: the nearest to the critical one, or the largest. */
function nearestSize(study, sizes) {
  const critical = study.views[0].critical.b_crit;
  const wanted = critical && (critical.value ?? critical.low ?? critical.high);
  if (!wanted) return sizes.at(-1);
  const away = (size) => Math.abs(Math.log(size / wanted));
  return sizes.reduce((best, size) => (away(size) < away(best) ? size : best));
}

/** Show one study at a time; each is drawn when it is first shown. */
function showStudies() {
  const sections = [...document.querySelectorAll(".study")];
  const drawnOnce = new Set();
  const show = (index) => {
    sections.forEach((section, one) => (section.hidden = one !== index));
    if (drawnOnce.has(index)) return;
    drawnOnce.add(index);
    showStudy(sections[index], data.studies[index], `study ${index}`);
  };
  const choices = data.studies.map((study, index) => [index, study.label]);
  const host = document.querySelector("[data-controls=study]");
  show(host ? radios(host, "study", "Study", choices, show) : 0);
}

/** Reload the page from time to time, and keep the place of the reader. */
function keepCurrent(seconds) {
  setInterval(() => {
    if (document.hidden) return;
    place.scroll = scrollY;
    place.open = [...document.querySelectorAll("details")].map((one) => one.open);
    history.replaceState(place, "");
    location.reload();
  }, 1000 * seconds);
}

function takePlace() {
  if (place.scroll === undefined) return;
  document.querySelectorAll("details").forEach((one, index) => (one.open = place.open[index] || false));
  scrollTo(0, place.scroll);
  delete place.scroll;
}

if (data.comparison) comparisonChart(document.querySelector(".comparison"), data.comparison);
showStudies();
document.querySelectorAll("figure.table").forEach(enableTable);
takePlace();
if (data.reload_seconds) keepCurrent(data.reload_seconds);
document.documentElement.dataset.ready = "yes";
