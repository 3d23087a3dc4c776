from airflow import plugins_manager

from windhover import links
from windhover.links import PAGES
from windhover.ui.pages import make_app


def find_plugin():
    plugins, errors = plugins_manager._get_plugins()
    assert errors == {}
    return next(plugin for plugin in plugins if plugin.name == "windhover")


def test_airflow_discovers_the_plugin_and_executes_nothing_else_of_the_folder():
    assert find_plugin().source.path == "windhover_plugin.py"
    ours = [plugin.name for plugin in plugins_manager._get_plugins()[0] if "windhover" in str(plugin.source)]
    assert ours == ["windhover"]


def test_every_link_of_an_operator_is_registered():
    registered = {link.name for link in find_plugin().operator_extra_links}
    assert registered == {link.name for link in vars(links).values() if isinstance(link, links.EvidenceLink)}


def test_the_plugin_can_be_shown_in_the_web_ui():
    [shown] = [info for info in plugins_manager.get_plugin_info() if info["name"] == "windhover"]
    assert [app["url_prefix"] for app in shown["fastapi_apps"]] == ["/windhover"]


def test_our_pages_are_in_the_navigation_and_lead_somewhere():
    views = find_plugin().external_views
    assert [(view["name"], view["destination"]) for view in views] == [
        ("Windhover", "nav"),
        ("Datasets", "nav"),
        ("Models", "nav"),
        ("Rollouts", "nav"),
        ("Audit", "nav"),
    ]
    paths = {f"{PAGES}{route.path}" for route in make_app().routes}
    assert {view["href"] for view in views} <= paths
